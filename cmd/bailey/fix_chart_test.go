package main

import (
	"reflect"
	"testing"

	"github.com/baileyhq/bailey"
)

// TestCandidates names the values that a field may come from, and reads the pointer
// as RFC 6901 has it.
func TestCandidates(t *testing.T) {
	add := func(path string, value any) bailey.PatchOp {
		return bailey.PatchOp{Op: "add", Path: path, Value: value}
	}
	fields := func(key string, value any) map[string]any { return map[string]any{key: value} }
	for _, c := range []struct {
		name, values string
		op           bailey.PatchOp
		want         []bailey.PatchOp
	}{
		{"the field itself", "runAsNonRoot: false", add("/spec/securityContext/runAsNonRoot", true), []bailey.PatchOp{add("/runAsNonRoot", true)}},
		{"what it stands in", "web: {podSecurityContext: {}}", add("/spec/securityContext/seccompProfile/type", "x"),
			[]bailey.PatchOp{add("/web/podSecurityContext/seccompProfile", fields("type", "x"))}},
		{"parents that are there", "securityContext: {seccompProfile: {type: y}}", add("/spec/securityContext/seccompProfile/type", "x"),
			[]bailey.PatchOp{add("/securityContext/seccompProfile/type", "x"), add("/securityContext/seccompProfile/type", "x"), add("/securityContext/seccompProfile/type", "x")}},
		{"a key with a slash, made", "metadata: {}", add("/metadata/annotations/a.io~1x", "1"), []bailey.PatchOp{add("/metadata/annotations", fields("a.io/x", "1"))}},
		{"a key with a slash, set", "podAnnotations: {}", add("/metadata/annotations/a.io~1x", "1"), []bailey.PatchOp{add("/podAnnotations/a.io~1x", "1")}},
		{"a value below one with a slash", "a.io/web: {securityContext: {}}", add("/spec/containers/0/securityContext/privileged", false),
			[]bailey.PatchOp{add("/a.io~1web/securityContext/privileged", false)}},
		{"nothing like it", "image: x", add("/spec/hostPID", false), []bailey.PatchOp{}},
		{"an item of a list", "drop: []", add("/spec/containers/0/securityContext/capabilities/drop/-", "ALL"), nil},
	} {
		if got := candidates([]byte(c.values), c.op); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
