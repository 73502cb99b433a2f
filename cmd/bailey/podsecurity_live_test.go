package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// TestPodSecurityAgreesWithAPIServer asks the live API server, by dry-run in a
// namespace of each level, about upstream's fixtures of its own newest version,
// and wants its answer to be Bailey's.
func TestPodSecurityAgreesWithAPIServer(t *testing.T) {
	cluster := devclustertest.Shared(t)
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission").Output()
	if err != nil {
		t.Fatal(err)
	}
	fixtures := filepath.Join(strings.TrimSpace(string(out)), "test", "testdata")
	for _, level := range []string{"baseline", "restricted"} {
		version := newest(t, filepath.Join(fixtures, level))
		ns := devclustertest.Namespace(t, map[string]string{
			"pod-security.kubernetes.io/enforce":         level,
			"pod-security.kubernetes.io/enforce-version": version,
		})
		files, err := filepath.Glob(filepath.Join(fixtures, level, version, "*", "*.yaml"))
		if err != nil || len(files) < 20 {
			t.Fatalf("%d fixtures of %s %s (%v)", len(files), level, version, err)
		}
		answered := 0
		for _, file := range files {
			refused, answer := askAPIServer(t, cluster, ns, file)
			if !answer {
				continue
			}
			answered++
			found := askBailey(t, level, version, file)
			if refused != (len(found) > 0) {
				t.Errorf("%s %s: refused by the API server: %t; found by Bailey: %v", level, filepath.Base(file), refused, found)
			}
			if want := filepath.Base(filepath.Dir(file)) == "fail"; refused != want {
				t.Errorf("%s: the API server's own fixture says %t, its answer %t", file, want, refused)
			}
		}
		t.Logf("%s %s: %d of %d fixtures compared", level, version, answered, len(files))
		if answered < len(files)*9/10 {
			t.Errorf("%s: only %d of %d fixtures are objects that the API server takes", level, answered, len(files))
		}
	}
}

// newest gives the folder name of the newest version ("v1.37").
func newest(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	best := bailey.Version{}
	for _, e := range entries {
		if v, err := bailey.ParseVersion(e.Name()); err == nil && v.AtLeast(best.Major, best.Minor) {
			best = v
		}
	}
	return "v" + best.String()
}

// askAPIServer reports whether Pod Security refuses the pod, and false for
// answer where the API server's validation refuses it first (a few fixtures,
// such as an unmasked /proc without a user namespace).
func askAPIServer(t *testing.T, cluster *devcluster.Cluster, ns, file string) (refused, answer bool) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pod := map[string]any{}
	if err := yaml.Unmarshal(data, &pod); err != nil {
		t.Fatal(err)
	}
	// Upstream's names are no valid object names; the standard does not read them.
	metadata, _ := pod["metadata"].(map[string]any)
	metadata["name"] = "fixture"
	err = cluster.Do(t.Context(), http.MethodPost, fmt.Sprintf("/api/v1/namespaces/%s/pods?dryRun=All", ns), pod, nil)
	var status *devcluster.StatusError
	switch {
	case err == nil:
		return false, true
	case errors.As(err, &status) && strings.Contains(status.Message, "violates PodSecurity"):
		return true, true
	case errors.As(err, &status) && status.Code == http.StatusUnprocessableEntity:
		return false, false
	}
	t.Fatalf("%s: %v", file, err)
	return false, false
}

// askBailey gives the rules of the level that find something in the pod.
func askBailey(t *testing.T, level, version, file string) []string {
	t.Helper()
	v, err := bailey.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	s, err := manifests.Collect(t.Context(), []string{file}, manifests.Options{Version: v})
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.Judge(t.Context(), s, []*bailey.Control{compute.PodSecurity}, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	guard := slices.IndexFunc(compute.PodSecurity.Guards, func(g *bailey.Guard) bool { return strings.HasSuffix(g.Name, level) })
	if guard < 0 {
		t.Fatalf("no guard of level %s", level)
	}
	var found []string
	for _, f := range r.Findings {
		_, rule := bailey.FindRule([]*bailey.Control{compute.PodSecurity}, f.Rule)
		if f.Object.Kind == bailey.KindPod && slices.Contains(compute.PodSecurity.Guards[guard].Covers, rule) {
			found = append(found, f.Rule)
		}
	}
	return found
}
