package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/fix"
)

// TestFixManifests makes all fixes in other people's manifests: every file parses
// as before, no comment is lost, each object is what the changes make of it and no
// other one is touched, and the rules that were fixed are silent.
func TestFixManifests(t *testing.T) {
	for _, project := range []string{"kubernetes-examples", "microservices-demo", "istio-samples", "cert-manager", "kube-prometheus", "ingress-nginx"} {
		t.Run(project, func(t *testing.T) {
			from := filepath.Join("..", "..", "..", "shared", "manifests", project)
			if _, err := os.Stat(from); err != nil {
				t.Skip("the manifests are not there: ", err)
			}
			if project != "microservices-demo" && os.Getenv("BAILEY_SOAK") == "" {
				t.Skip("BAILEY_SOAK is not set")
			}
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
			fixAll(t, dir, t.TempDir())
		})
	}
}

func fixAll(t *testing.T, dir, patches string) {
	a := &app{stdout: io.Discard, stderr: io.Discard, now: time.Now, quiet: true}
	conf := &config{}
	flags := &targetFlags{loadedState: conf}
	before := treesOf(t, dir)
	f, old, now, err := a.fix(t.Context(), flags, conf, []string{dir}, patches, controls.All(), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(f.changed()); err != nil {
		t.Fatal(err)
	}
	if _, again, _, err := a.fix(t.Context(), &targetFlags{loadedState: conf}, conf, []string{dir}, patches, controls.All(), check.Options{}); err != nil || len(again.Findings) != len(now.Findings) {
		t.Errorf("what is on the disk gives %d findings, what was judged %d: %v", len(again.Findings), len(now.Findings), err)
	}
	still := map[string]bool{}
	for i := range now.Findings {
		still[now.Findings[i].ID] = true
	}
	after, patched, inCharts := treesOf(t, dir), map[string]string{}, 0
	for _, n := range f.done {
		if strings.Contains(n.how, "post-rendering") {
			inCharts++
			continue
		}
		if still[n.finding.ID] {
			t.Errorf("%s in %s was fixed (%s) and is still found", n.finding.Rule, n.object, n.change)
		}
		of := func(key string) string {
			if text, known := patched[key]; known {
				return text
			}
			return before[key]
		}
		text := of(n.object.String() + " " + n.file)
		out, _, err := fix.Apply([]byte(text), n.patch)
		if err != nil {
			t.Errorf("%s: %v", n.object, err)
		}
		for key := range before {
			object, file, _ := strings.Cut(key, " /")
			if object != n.object.String() || !strings.Contains(n.how, "the same object: /"+file) {
				continue
			}
			if copied, _, err := fix.Apply([]byte(of(key)), n.patch); err != nil {
				t.Errorf("%s: %v", key, err)
			} else {
				patched[key] = string(copied)
			}
		}
		patched[n.object.String()+" "+n.file] = string(out)
	}
	for key, text := range before {
		if out, touched := patched[key]; touched {
			text = out
		}
		if !sameJSON(t, text, after[key]) {
			t.Errorf("%s: want\n%s\ngot\n%s", key, text, after[key])
		}
	}
	if len(f.done) == 0 || len(before) != len(after) {
		t.Errorf("%d changes; %d objects, then %d", len(f.done), len(before), len(after))
	}
	for _, file := range f.changed() {
		if file.before != nil {
			checkText(t, file)
		}
	}
	reasons := map[string]int{}
	for _, n := range f.left {
		reasons[n.why]++
	}
	t.Logf("%d findings, %d changes (%d in patches for charts), %d files, %d left: %v", len(old.Findings), len(f.done), inCharts, len(f.changed()), len(f.left), reasons)
}

// checkText wants each document to parse as it did, and each comment to be there
// but for those in what was removed.
func checkText(t *testing.T, file *fixedFile) {
	count := func(text []byte) (n int) {
		d := yaml.NewDecoder(bytes.NewReader(text))
		for {
			var v yaml.Node
			if err := d.Decode(&v); err == io.EOF {
				return n
			} else if err != nil {
				return -n
			}
			n++
		}
	}
	if was, is := count(file.before), count(file.after); was != is {
		t.Errorf("%s: %d documents, then %d", file.name, was, is)
	}
	comments := func(text []byte) map[string]int {
		times := map[string]int{}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
				times[line]++
			}
		}
		return times
	}
	if was, is := comments(file.before), comments(file.after); !maps.Equal(was, is) {
		t.Errorf("%s: comments and how often they stand there: %v, then %v", file.name, was, is)
	}
}

// treesOf gives the objects of a folder, as JSON. Of one that is given several
// times the last counts.
func treesOf(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	_, err := manifests.Collect(t.Context(), []string{dir}, manifests.Options{Each: func(f *bailey.Fact, tree func() any) {
		text, err := json.Marshal(tree())
		if err != nil {
			t.Error(err)
		}
		all[f.Ref.String()+" "+f.Source.File] = string(text)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameJSON(t *testing.T, a, b string) bool {
	var va, vb any
	if err := errors.Join(json.Unmarshal([]byte(a), &va), json.Unmarshal([]byte(b), &vb)); err != nil {
		t.Error(err, a, b)
	}
	return reflect.DeepEqual(va, vb)
}
