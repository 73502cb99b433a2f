package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
)

// TestUp does what `bailey up --detach` does with the sample platform, in a state folder of its own, and wants
// every fault that the sample platform was given to be found, in the control
// that it was planted for, and nothing found in what is well kept.
func TestUp(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane, which -short leaves out")
	}
	platform, err := filepath.Abs("../../testdata/platform")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := devcluster.Find("")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(devcluster.BinaryVariable, binary)
	state := t.TempDir()
	dir := filepath.Join(state, "bailey", "devcluster")
	t.Cleanup(func() {
		if err := devcluster.Stop(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})

	out, errs, code := programIn(t, state, "up", "--detach", "--sample")
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"FIX FIRST", "LADDER", "facts seen", "The cluster runs until: bailey down"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output of up lacks %q", want)
		}
	}
	if out, errs, code := programIn(t, state, "up", "--detach"); code != exitOK || strings.Contains(errs, "Starting") {
		t.Errorf("a second up: exit %d, %s%s", code, out, errs)
	}

	cluster, err := devcluster.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	// Bailey does not read a cluster's Secrets, so their faults stay unknown.
	comparePlatform(t, platform, result(t, "--kubeconfig", cluster.Kubeconfig), "Secret/")

	if out, errs, code := programIn(t, state, "down"); code != exitOK || !strings.Contains(out, "stopped") {
		t.Errorf("down: exit %d, %s%s", code, out, errs)
	}
	if _, err := devcluster.Open(dir); err == nil {
		t.Error("the cluster runs after down")
	}
}

// TestPlatformFolder scans the same platform as files, with every kind of it
// called complete.
func TestPlatformFolder(t *testing.T) {
	platform, err := filepath.Abs("../../testdata/platform")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "bailey.yaml")
	var kinds []string
	for _, k := range bailey.KnownKinds() {
		if k.New() == nil {
			kinds = append(kinds, k.Short())
		}
	}
	if err := os.WriteFile(config, []byte("complete: ["+strings.Join(kinds, ", ")+"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	comparePlatform(t, platform, result(t, platform, "--config", config), "")
}

var (
	faultRow = regexp.MustCompile(`^\| ([a-z0-9, -]*) ?\| ([A-Za-z]+/[a-z0-9.-]+)? ?\| (.*?) ?\| .* \| ([a-z]+/[a-z-]+) \|$`)
	quietRow = regexp.MustCompile("^\\| ([a-z-]+) \\| ([A-Za-z]+)/([a-z0-9.-]+) \\| `([^`]+)` \\| ")
)

// comparePlatform reads the tables of the platform's README.
func comparePlatform(t *testing.T, platform string, r *bailey.Report, unread string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(platform, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	faults, quiet, _ := strings.Cut(string(data), "## What must stay quiet")
	rows := 0
	for line := range strings.Lines(faults) {
		m := faultRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || strings.Contains(line, "*later*") || unread != "" && strings.HasPrefix(m[2], unread) {
			continue
		}
		rows++
		for namespace := range strings.SplitSeq(strings.TrimSpace(m[1]), ", ") {
			if !slices.ContainsFunc(r.Findings, func(f bailey.Finding) bool {
				return f.Control == m[4] && f.Object.Namespace == namespaceOf(f, namespace) && (m[2] == "" || named(f, m[2]))
			}) && !(m[4] == "compute/syscalls" && isUnknown(r, m[4], namespace, m[2])) {
				t.Errorf("%s of %s in %q was not found", m[4], m[2], namespace)
			}
		}
	}
	if rows < 100 {
		t.Errorf("only %d faults were compared: has the table changed its form?", rows)
	}
	for _, f := range r.Findings {
		if (f.Object.Namespace == "statements" || f.Object.Name == "statements") && f.Severity > bailey.SeverityInfo {
			t.Errorf("the well-kept namespace has a finding: %s %s %s: %s", f.Rule, f.Object, f.Field, f.Message)
		}
	}
	rows = 0
	for line := range strings.Lines(quiet) {
		m := quietRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows++
		for _, f := range r.Findings {
			at := f.Named
			if at == "" {
				at = f.Field
			}
			if f.Object.Namespace == m[1] && f.Object.Kind.Short() == m[2] && f.Object.Name == m[3] && at != "" && strings.HasPrefix(m[4], at) && strings.Contains(f.Rule, "secret-in") {
				t.Errorf("what only resembles a fault was found: %s %s %s: %s", f.Rule, f.Object, at, f.Message)
			}
		}
	}
	if rows < 8 {
		t.Errorf("only %d look-alikes were compared", rows)
	}
}

// isUnknown reports whether the control says of the workload that it lacked a
// fact: the kubelets' configuration decides what no seccomp profile means.
func isUnknown(r *bailey.Report, control, namespace, object string) bool {
	return slices.ContainsFunc(r.Verdicts, func(v bailey.Verdict) bool {
		return v.Control == control && v.Scope.Kind == bailey.ScopeWorkload && v.Scope.Object.Namespace == namespace &&
			v.Scope.Object.Kind.Short()+"/"+v.Scope.Object.Name == object && v.Rung == bailey.RungUnknown
	})
}

// namespaceOf lets a fault of a namespace be found on its Namespace object.
func namespaceOf(f bailey.Finding, namespace string) string {
	if f.Object.Kind == bailey.KindNamespace && f.Object.Name == namespace {
		return f.Object.Namespace
	}
	return namespace
}

func named(f bailey.Finding, object string) bool {
	return fmt.Sprintf("%s/%s", f.Object.Kind.Short(), f.Object.Name) == object
}
