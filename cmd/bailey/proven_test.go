package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/report"
)

const compliantPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":{
 "automountServiceAccountToken":false,
 "securityContext":{"runAsNonRoot":true,"runAsUser":1000,"seccompProfile":{"type":"RuntimeDefault"}},
 "containers":[{"name":"web","image":"registry.example/web@sha256:0000000000000000000000000000000000000000000000000000000000000000",
  "securityContext":{"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true,"capabilities":{"drop":["ALL"]}},
  "resources":{"requests":{"cpu":"10m","memory":"16Mi"},"limits":{"cpu":"10m","memory":"16Mi"}}}]}}`

// TestProvenRung climbs the ladder from end to end: what was tried and held is
// proven; evidence that was tampered with, or that is signed by a stranger, raises
// nothing; what an experiment broke is a gap until it is put right and tried again.
func TestProvenRung(t *testing.T) {
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	const ns = "shop"
	kubectl(t, cluster, "create", "namespace", ns)
	kubectl(t, cluster, "label", "namespace", ns, "pod-security.kubernetes.io/enforce=restricted")
	var pod map[string]any
	if err := json.Unmarshal([]byte(compliantPod), &pod); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Do(t.Context(), "POST", "/api/v1/namespaces/"+ns+"/pods", pod, nil); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	rung := func(state string) bailey.Verdict {
		t.Helper()
		out, errs, code := programIn(t, state, "scan", "-c", "compute/pod-security", "--kubeconfig", cluster.Kubeconfig, "-o", "json", "--fail-on", "none")
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, errs)
		}
		r, err := report.ReadJSON(strings.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range r.Verdicts {
			if v.Scope.Kind == bailey.ScopeWorkload && v.Scope.Object.Namespace == ns {
				return v
			}
		}
		t.Fatalf("no verdict for the workload in %s", ns)
		return bailey.Verdict{}
	}
	proveIt := func(state string, want int, flags ...string) {
		t.Helper()
		out, errs, code := programIn(t, state, append([]string{"prove", "compute/pod-security", "--kubeconfig", cluster.Kubeconfig, "-n", ns}, flags...)...)
		if code != want {
			t.Fatalf("exit %d, want %d: %s%s", code, want, out, errs)
		}
	}
	if v := rung(state); v.Rung != bailey.RungGuarded || v.Proof != nil {
		t.Fatalf("before anything was tried it stands at %s: %+v", v.Rung, v)
	}
	proveIt(state, exitOK, "--quick")
	if v := rung(state); v.Rung != bailey.RungGuarded {
		t.Errorf("one try a path gives %s: %+v", v.Rung, v.Proof)
	}
	old := oldEvidence(t, state)
	proveIt(state, exitOK)
	if v := rung(state); v.Rung != bailey.RungProven || v.Proof == nil || v.Proof.Least < 16 {
		t.Errorf("16 tries a path that held give %s: %+v", v.Rung, v.Proof)
	}
	// What no verdict rests on any more was archived meanwhile, and is still there.
	if _, err := os.Stat(old); err == nil {
		t.Errorf("%s was not archived", old)
	}
	archived := filepath.Join(filepath.Dir(old), "archive", "*", filepath.Base(old)+".gz")
	if found, err := filepath.Glob(archived); err != nil || len(found) != 1 {
		t.Errorf("the archive has %v of %s", found, archived)
	} else if out, errs, code := programIn(t, state, "evidence", "show", found[0]); code != exitOK || !strings.Contains(out, `"run": "run of old"`) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, _, code := programIn(t, state, "evidence", "list"); code != exitOK || strings.Count(out, filepath.Base(old)) != 1 {
		t.Errorf("exit %d: %s", code, out)
	}
	verify := func(state, file string) (string, int) {
		out, _, code := programIn(t, state, "evidence", "verify", "--key", filepath.Join(filepath.Dir(file), "..", "evidence.pub"), file)
		return out, code
	}

	// A stranger's evidence: the same files beside another's key.
	stranger := t.TempDir()
	proveIt(stranger, exitOK, "--quick")
	copyEvidence(t, state, stranger, func(data []byte) []byte { return data })
	if v := rung(stranger); v.Rung != bailey.RungGuarded {
		t.Errorf("a stranger's evidence gives %s", v.Rung)
	}
	// Without the wholes nothing can be verified: it raises nothing, and is named.
	hollow := t.TempDir()
	copyState(t, state, hollow)
	for _, file := range evidenceFiles(t, hollow) {
		if strings.HasSuffix(file, ".dsse.json") {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v := rung(hollow); v.Rung != bailey.RungGuarded {
		t.Errorf("summaries alone give %s", v.Rung)
	}
	if _, errs, _ := programIn(t, hollow, "scan", "-c", "compute/pod-security", "--kubeconfig", cluster.Kubeconfig, "--fail-on", "none"); !strings.Contains(errs, "is missing") {
		t.Errorf("that wholes are missing is not said: %s", errs)
	}
	tampered := t.TempDir()
	copyState(t, state, tampered)
	copyEvidence(t, tampered, tampered, func(data []byte) []byte {
		data[len(data)/2] ^= 1
		return data
	})
	if v := rung(tampered); v.Rung != bailey.RungGuarded {
		t.Errorf("tampered evidence gives %s", v.Rung)
	}
	for _, file := range evidenceFiles(t, state) {
		if out, code := verify(state, file); code != exitOK {
			t.Errorf("exit %d: %s", code, out)
		}
	}
	for _, file := range evidenceFiles(t, tampered) {
		if out, code := verify(tampered, file); code != exitFindings || !strings.Contains(out, "BAD") {
			t.Errorf("tampered evidence verifies: exit %d: %s", code, out)
		}
	}

	// Broken: the namespace enforces nothing any more, and says so only to the try.
	broken, err := devcluster.Start(t.Context(), devcluster.Options{PodSecurity: devcluster.PodSecurity{ExemptUsers: []string{"admin"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := broken.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cluster = broken
	kubectl(t, cluster, "create", "namespace", ns)
	kubectl(t, cluster, "label", "namespace", ns, "pod-security.kubernetes.io/enforce=restricted")
	if err := cluster.Do(t.Context(), "POST", "/api/v1/namespaces/"+ns+"/pods", pod, nil); err != nil {
		t.Fatal(err)
	}
	if v := rung(state); v.Proof != nil {
		t.Errorf("evidence of another cluster counts: %+v", v.Proof)
	}
	proveIt(state, exitFindings, "--quick")
	if v := rung(state); v.Rung != bailey.RungGap || len(v.Proof.Broken) == 0 || !strings.Contains(v.Next, "broken") {
		t.Errorf("a broken experiment gives %s: %+v", v.Rung, v)
	}
}

// oldEvidence adds a run of 30 days ago, signed as the state folder's own, and gives
// the path.
func oldEvidence(t *testing.T, state string) string {
	t.Helper()
	folder := filepath.Dir(evidenceFiles(t, state)[0])
	key, err := prove.StateKey(filepath.Dir(folder))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := prove.Load(t.Context(), folder, []ed25519.PublicKey{key.PublicKey()}, prove.Reading{})
	if err != nil || len(kept) == 0 {
		t.Fatalf("%v %v", kept, err)
	}
	s, err := prove.LoadFile(t.Context(), kept[0].Path, []ed25519.PublicKey{key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-30 * 24 * time.Hour)
	e := &s.Predicate.Evidence
	e.ID, e.Signer, e.Run, e.At, s.Predicate.End = "", "", "run of old", at, at
	path, _, _, err := prove.Keep(t.Context(), folder, *s, key)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func evidenceFiles(t *testing.T, state string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(state, "bailey", "*", "evidence", "*.json")) // wholes and summaries
	if err != nil || len(files) == 0 {
		t.Fatalf("no evidence in %s: %v", state, err)
	}
	return files
}

// copyEvidence changes the evidence of one state folder on its way to another.
func copyEvidence(t *testing.T, from, to string, change func([]byte) []byte) {
	t.Helper()
	for _, file := range evidenceFiles(t, from) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rest, err := filepath.Rel(from, file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, rest), change(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func copyState(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(to, "bailey", "*", "evidence.key"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("no key was copied: %v", err)
	}
}
