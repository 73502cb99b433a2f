package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
)

// fixerOf gives a fixer of a folder with one file.
func fixerOf(t *testing.T, text string) *fixer {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	a := &app{stdout: io.Discard, stderr: io.Discard, now: time.Now, quiet: true}
	conf := &config{}
	return newFixer(a, &targetFlags{loadedState: conf}, conf, []string{dir}, "")
}

// TestFixManyOfOneList takes every bad subject out of one binding, in one round,
// and leaves the good one.
func TestFixManyOfOneList(t *testing.T) {
	text := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: read}\n" +
		"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects:\n"
	for i := range 30 {
		text += fmt.Sprintf("- {kind: ServiceAccount, name: default, namespace: ns%d}\n", i)
		if i == 17 {
			text += "- {kind: ServiceAccount, name: reader, namespace: shop}\n"
		}
	}
	f := fixerOf(t, text)
	_, now, err := f.run(t.Context(), controls.All(), check.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got string
	for _, file := range f.files {
		got = string(file.after)
	}
	if len(f.left) != 0 || strings.Contains(got, "default") || !strings.HasSuffix(got, "subjects:\n- {kind: ServiceAccount, name: reader, namespace: shop}\n") {
		t.Errorf("%d left, %d findings: %s", len(f.left), len(now.Findings), got)
	}
}

// TestFixLastRound judges what the last round has made, and tells what it leaves.
func TestFixLastRound(t *testing.T) {
	text := `apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop}
spec:
  containers:
  - name: a
    image: registry.example/a:1
    securityContext: {privileged: true}
`
	pods, err := chooseControls([]string{"compute/pod-security"})
	if err != nil {
		t.Fatal(err)
	}
	f := fixerOf(t, text)
	_, now, err := f.run(t.Context(), pods, check.Options{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for id, n := range f.left {
		left[id] = true
		if !strings.Contains(n.why, "1 round of changes") {
			t.Errorf("%s: %s", n.finding.Rule, n.why)
		}
	}
	found := map[string]bool{}
	for i := range now.Findings {
		found[now.Findings[i].ID] = true
		if len(now.FixOf(&now.Findings[i])) > 0 && !left[now.Findings[i].ID] {
			t.Errorf("%s is found, could be fixed, and is not told", now.Findings[i].Rule)
		}
	}
	for _, n := range f.done {
		if found[n.finding.ID] {
			t.Errorf("%s was fixed, and is judged as it was before", n.finding.Rule)
		}
	}
	if len(f.done) == 0 || len(left) == 0 {
		t.Errorf("%d made, %d left: the case tries nothing", len(f.done), len(left))
	}
}

// TestEditedObject lets wait what was judged for another place than it has now.
func TestEditedObject(t *testing.T) {
	remove := func(path string) bailey.PatchOp { return bailey.PatchOp{Op: "remove", Path: path} }
	set := func(path string, value any) bailey.PatchOp {
		return bailey.PatchOp{Op: "add", Path: path, Value: value}
	}
	for _, c := range []struct {
		name          string
		first, second bailey.PatchOp
		waits         bool
	}{
		{"before what was removed", remove("/l/3"), remove("/l/2"), false},
		{"behind what was removed", remove("/l/3"), remove("/l/4"), true},
		{"what was removed", remove("/l/3"), remove("/l/3"), true},
		{"in an item behind", remove("/l/3"), set("/l/10/a", true), true},
		{"in an item before", remove("/l/3"), set("/l/0/a", true), false},
		{"at the end", remove("/l/3"), set("/l/-", true), false},
		{"another list", remove("/l/3"), remove("/l2/4"), false},
		{"the whole list", remove("/l/3"), set("/l", []any{}), true},
		{"behind what was put in", set("/l/1", "x"), set("/l/1", "x"), true},
		{"twice at the end", set("/l/-", "x"), set("/l/-", "x"), true},
		{"the same value", set("/a/b", 1), set("/a/b", 1), false},
		{"another value", set("/a/b", 1), set("/a/b", 2), true},
		{"within", set("/a/b", 1), set("/a/b/c", 2), true},
		{"a parent that both need", set("/a", map[string]any{}), set("/a", map[string]any{}), false},
	} {
		o, err := (*editedObject)(nil).with([]bailey.PatchOp{c.first})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.with([]bailey.PatchOp{c.second}); errors.Is(err, errLater) != c.waits || err != nil && !c.waits {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
