package manifests

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
)

func collectText(t *testing.T, text string) *bailey.Snapshot {
	t.Helper()
	s, err := Collect(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: after}\n"

// Each of these is one clear Skip, soon, and what stands behind it is read.
func TestBounds(t *testing.T) {
	bomb := "apiVersion: v1\nkind: Thing\nmetadata: {name: bomb}\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	merges := "apiVersion: v1\nkind: Thing\nmetadata: {name: merges}\nm0: &m0 {x: y}\n"
	for i := 1; i < 30; i++ {
		merges += fmt.Sprintf("m%d: &m%d\n  k%d: v\n  <<: [*m%d, *m%d]\n", i, i, i, i-1, i-1)
	}
	for name, test := range map[string]struct{ text, why string }{
		"depth":     {"apiVersion: v1\nkind: Thing\nmetadata: {name: deep}\nx: " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "\n", "nested deeper"},
		"circle":    {"apiVersion: v1\nkind: Thing\nmetadata: {name: circle}\nx: &x\n  y: *x\n", "nested deeper"},
		"aliases":   {bomb, "aliases stand for more than"},
		"merges":    {merges, "aliases stand for more than"},
		"very deep": {"apiVersion: v1\nkind: Thing\nx: " + strings.Repeat("[", 100_000) + "\n", "max depth"},
		"large":     {"apiVersion: v1\nkind: Thing\nx: " + strings.Repeat("a", maxDocument) + "\n", "the document is larger"},
		"lists":     {`{"apiVersion": "v1", "kind": "List", "items": [` + strings.Repeat(`{"apiVersion": "v1", "kind": "List", "items": [`, 10) + strings.Repeat("]}", 11) + "\n", "lists stand in lists"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			s := collectText(t, test.text+"---\n"+pod)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if skipped := s.Meta.Targets[0].Skipped; len(skipped) != 1 || !strings.Contains(skipped[0].Why, test.why) {
				t.Errorf("skipped: %+v", skipped)
			}
			if s.Get(bailey.Ref{Kind: bailey.KindPod, Namespace: "default", Name: "after"}) == nil {
				t.Error("what stands behind was not read")
			}
		})
	}
}

func TestLargeFile(t *testing.T) {
	folder := t.TempDir()
	file, err := os.Create(filepath.Join(folder, "large.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(maxFile + 1); err != nil { // a hole, which takes no room
		t.Fatal(err)
	}
	file.Close()
	write(t, folder, "pod.yaml", pod)
	s, err := Collect(context.Background(), []string{folder}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if skipped := s.Meta.Targets[0].Skipped; len(skipped) != 1 || !strings.Contains(skipped[0].Why, "larger than") || s.Len() != 1 {
		t.Errorf("%d facts, skipped: %+v", s.Len(), skipped)
	}
}

func TestLinks(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a/pod.yaml", pod)
	for link, target := range map[string]string{"a/circle": "..", "a/gone.yaml": "nowhere", "a/link.yaml": "pod.yaml", "a/folder.yaml": "../a"} {
		if err := os.Symlink(target, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(folder, "root")); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{folder, filepath.Join(folder, "root")} {
		s, err := Collect(context.Background(), []string{root}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Len() != 1 || len(s.Meta.Targets[0].Skipped) != 0 {
			t.Errorf("%d facts, %+v", s.Len(), s.Meta.Targets)
		}
	}
}

func TestCoverage(t *testing.T) {
	s, err := Collect(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(pod), Complete: []bailey.Kind{bailey.KindLimitRange}})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []bailey.Kind{bailey.KindPod, bailey.KindCronJob, bailey.KindNetworkPolicy, bailey.KindRole, bailey.KindLimitRange} {
		if m := s.Unseen(k, "", ""); m != nil {
			t.Errorf("%s was not seen: %+v", k, m)
		}
	}
	for _, k := range []bailey.Kind{bailey.KindNamespace, bailey.KindClusterRoleBinding, bailey.KindNode, bailey.KindAPIServer, bailey.KindResourceQuota} {
		if m := s.Unseen(k, "", ""); m == nil || m.Reason != bailey.ReasonOpenWorld || m.Hint == "" {
			t.Errorf("%s: %+v", k, m)
		}
	}
	if m := s.Unseen("Thing.example.com", "", ""); m == nil || m.Reason != bailey.ReasonNotCollected {
		t.Errorf("a kind that nobody knows: %+v", m)
	}
	if !s.Meta.AssumedVersion || s.Meta.Version != bailey.LatestVersion || s.Meta.Medium != "files" || s.Meta.At.IsZero() {
		t.Errorf("%+v", s.Meta)
	}
	seen, unseen := Coverage()
	for _, k := range seen {
		for _, other := range unseen {
			if k == other {
				t.Errorf("%s is both complete and open", k)
			}
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if s, err := Collect(ctx, []string{"-"}, Options{Stdin: strings.NewReader(pod)}); err == nil {
		t.Errorf("collected %d facts", s.Len())
	}
}

// Values do not survive the way from a file to facts, whatever medium a fact
// is written to, nor do they in what is said about broken files.
func TestNoValueLeaves(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "all.yaml", `
apiVersion: v1
kind: Secret
metadata: {name: a, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"data": {"x": "MARKER"}}'}}
data: {a: TUFSS0VS, b: MARKER}
stringData: {c: MARKER, d: 'https://user:MARKER@host'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b}
data: {a: "MARKER", b: "x\npassword: MARKER\n"}
binaryData: {c: TUFSS0VS}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: c}
spec:
  template:
    spec:
      containers:
      - name: c
        command: [run, MARKER]
        args: ["--password=MARKER", "--token", MARKER, -pMARKER]
        env: [{name: A, value: MARKER}]
---
apiVersion: v1
kind: Secret
metadata: {name: broken}
data: {a: {b: MARKER}}
immutable: MARKER
---
apiVersion: v1
kind: Secret
metadata: {name: d}
data: [MARKER]
---
apiVersion: v1
kind: Secret
 metadata: {name: MARKER1}
data: MARKER
`)
	write(t, folder, "chart/Chart.yaml", "apiVersion: v2\nname: c\nversion: 0.1.0\n")
	write(t, folder, "chart/values.yaml", "password: MARKER\n")
	write(t, folder, "chart/templates/s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: fromchart}\nstringData: {a: {{ .Values.password }}}\n")
	write(t, folder, "kust/kustomization.yaml", "secretGenerator: [{name: fromkust, literals: [a=MARKER]}]\n")
	s, err := Collect(context.Background(), []string{folder}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.List("Secret", "")); n < 3 {
		t.Errorf("only %d Secrets were read: %+v", n, s.Meta.Targets)
	}
	var all bytes.Buffer
	encoder := json.NewEncoder(&all)
	for _, k := range s.Kinds() {
		for _, f := range s.List(k, "") {
			if err := encoder.Encode(f.Object); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, missing := s.Coverage()
	if err := encoder.Encode(missing); err != nil {
		t.Fatal(err)
	}
	if err := encoder.Encode(s.Meta); err != nil {
		t.Fatal(err)
	}
	for _, marker := range []string{"MARKER", "TUFSS0VS"} {
		if i := bytes.Index(all.Bytes(), []byte(marker)); i >= 0 {
			t.Errorf("%s is left: %s", marker, all.Bytes()[max(0, i-200):min(all.Len(), i+100)])
		}
	}
}
