package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
)

// enforceArgs apply what the plan says as far as it goes, at once.
func enforceArgs(cluster *devcluster.Cluster, controls ...string) []string {
	return append([]string{"enforce", "--apply", "--kubeconfig", cluster.Kubeconfig, "--quiet-period", "0s",
		"--accept-refusals", "--accept-unobserved", "--force-conflicts", "-q"}, controls...)
}

// enforceNow applies until nothing is left to do: the first time policies audit, and a
// namespace goes from one level to the next.
func enforceNow(t *testing.T, cluster *devcluster.Cluster, state string, controls ...string) {
	t.Helper()
	for range 5 {
		out, errs, code := programIn(t, state, enforceArgs(cluster, controls...)...)
		if code != exitOK {
			t.Fatalf("enforce ended with %d: %s%s", code, out, errs)
		}
		if strings.Contains(out, "Changed since it was applied") {
			t.Fatalf("what was just applied is said to have been changed:\n%s", out)
		}
		if strings.Contains(out, "Nothing to apply") {
			return
		}
	}
	t.Fatal("after five times there is still something to apply")
}

func revert(t *testing.T, cluster *devcluster.Cluster, state string) {
	t.Helper()
	if out, errs, code := programIn(t, state, "enforce", "--revert", "--kubeconfig", cluster.Kubeconfig, "-q"); code != exitOK || strings.Contains(out, "left as it is") {
		t.Fatalf("revert ended with %d: %s%s", code, out, errs)
	}
}

// stateOf gives what enforce may change, without what servers write by themselves.
func stateOf(t *testing.T, cluster *devcluster.Cluster) map[string]string {
	t.Helper()
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(kubectl(t, cluster, "get", "-A", "-o", "json", "namespaces,configmaps,networkpolicies,resourcequotas,limitranges,serviceaccounts,"+
		"validatingadmissionpolicies,validatingadmissionpolicybindings"), &list); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, o := range list.Items {
		meta := o["metadata"].(map[string]any)
		for _, key := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
			delete(meta, key)
		}
		delete(o, "status")
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		namespace, _ := meta["namespace"].(string)
		state[o["kind"].(string)+" "+namespace+"/"+meta["name"].(string)] = string(text)
	}
	return state
}

func sameState(t *testing.T, when string, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %s is\n%s\nwant\n%s", when, name, got[name], text)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s: %s is there", when, name)
		}
	}
}

// TestEnforceKilled kills an apply with -9 when it has noted some objects. Applied again,
// it comes to the same end as an apply that nobody cut off; reverted, then or at once, all
// is as before.
func TestEnforceKilled(t *testing.T) {
	soak := os.Getenv("BAILEY_SOAK") != ""
	cluster := devclustertest.Own(t)
	kubectl(t, cluster, "create", "namespace", "shop")
	kubectl(t, cluster, "label", "namespace", "shop", "pod-security.kubernetes.io/warn=privileged")
	chosen, kills, most := []string{"deploy/*"}, []int{2}, 3
	if soak {
		chosen, kills, most = []string{"compute/*", "deploy/*", "network/policy"}, []int{1, 2, 3, 5, 8, 11, 14}, 15 // with quotas, whose amounts servers rewrite
	}
	before := stateOf(t, cluster)
	state := t.TempDir()
	enforceNow(t, cluster, state, chosen...)
	whole := stateOf(t, cluster)
	if len(whole) < len(before)+most || !strings.Contains(whole["ValidatingAdmissionPolicyBinding /bailey-registries-allowed"], `"Deny"`) {
		t.Fatalf("%d objects before, %d after", len(before), len(whole))
	}
	revert(t, cluster, state)
	sameState(t, "reverted", stateOf(t, cluster), before)
	for _, objects := range kills {
		state := t.TempDir()
		for _, again := range []bool{false, true} {
			if killEnforce(t, state, objects, enforceArgs(cluster, chosen...)...) {
				t.Fatalf("it ended before it had noted %d objects", objects)
			}
			if again {
				enforceNow(t, cluster, state, chosen...)
				sameState(t, "killed and applied", stateOf(t, cluster), whole)
			}
			revert(t, cluster, state)
			sameState(t, fmt.Sprintf("killed at %d objects, applied again: %t, and reverted", objects, again), stateOf(t, cluster), before)
		}
	}
}

// killEnforce runs bailey and kills it when so many objects are noted. It reports
// whether it ended by itself.
func killEnforce(t *testing.T, state string, objects int, args ...string) (ended bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asBailey+"=1", "XDG_STATE_HOME="+state)
	cmd.Dir = t.TempDir()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			return true
		case <-time.After(time.Millisecond):
		}
		if noted, _ := filepath.Glob(filepath.Join(state, "bailey", "*", "enforce", "*")); len(noted) >= objects {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-done
			return false
		}
	}
}

// TestEnforcedPlatform proves the sample platform before and after it is enforced: what
// nobody claimed to refuse then holds, nothing is broken, and the ladder shows it.
func TestEnforcedPlatform(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes minutes: make soak, or BAILEY_SOAK=1")
	}
	cluster := devclustertest.Own(t)
	platform, err := filepath.Abs("../../testdata/platform")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(platform, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		kubectl(t, cluster, "apply", "--server-side", "-f", file)
	}
	state := t.TempDir()
	before := stateOf(t, cluster)
	held := probesOn(t, cluster, state)
	for probe, r := range held {
		if strings.HasPrefix(probe, "deploy/admission refused-by-every-way") && r.Outcome() == prove.Held {
			t.Errorf("%s is refused before anything is enforced", probe)
		}
	}
	rungs := rungsOf(t, cluster, state)
	enforceNow(t, cluster, state, "deploy/*", "access/*", "compute/syscalls", "network/policy")
	after := probesOn(t, cluster, state)
	gained := map[string]int{}
	for probe, r := range after {
		before, tried := held[probe]
		experiment, _, _ := strings.Cut(probe, ": ")
		switch {
		case r.Outcome() == prove.Held && (!tried || before.Outcome() != prove.Held):
			gained[experiment]++
		case r.Outcome() != prove.Held && tried && before.Outcome() == prove.Held:
			t.Errorf("%s held before, and is %s after: %v", probe, r.Outcome(), r.Why)
		}
	}
	for _, experiment := range []string{"deploy/admission refused-by-every-way", "deploy/image-identity unknown-images-refused", "access/api-bypass mounts-refused"} {
		if gained[experiment] < 10 {
			t.Errorf("%s: only %d probes hold that did not before", experiment, gained[experiment])
		}
	}
	t.Logf("probes that hold and did not before: %v", gained)
	higher := 0
	for scope, rung := range rungsOf(t, cluster, state) {
		if rung > rungs[scope] {
			higher++
		}
	}
	t.Logf("%d scopes of controls stand higher on the ladder", higher)
	if higher < 15 { // each namespace and workload that a NetworkPolicy now covers
		t.Error("the ladder shows too little of it")
	}
	revert(t, cluster, state)
	sameState(t, "reverted", stateOf(t, cluster), before)
}

// probesOn proves with questions and dry-runs, and gives what came of each probe, by
// control, experiment, scope, name and path. Nothing may be broken.
func probesOn(t *testing.T, cluster *devcluster.Cluster, state string) map[string]*prove.Result {
	t.Helper()
	out, errs, code := programIn(t, state, "prove", "deploy/*", "access/api-bypass", "--kubeconfig", cluster.Kubeconfig, "--repeat", "2", "-o", "json", "-q")
	if code > exitFindings {
		t.Fatalf("prove ended with %d: %s", code, errs)
	}
	var all struct {
		Results []struct {
			Control, Experiment, Scope, Why string
			Probes                          []*prove.Result
		}
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	probes := map[string]*prove.Result{}
	for _, r := range all.Results {
		for _, p := range r.Probes {
			if p.Outcome() == prove.Broken {
				t.Errorf("%s, %s is broken: %s (%s)", r.Experiment, p.Name, p.Path, p.Why)
			}
			probes[r.Control+" "+r.Experiment+": "+r.Scope+" "+p.Name+", "+p.Path] = p
		}
	}
	return probes
}

// rungsOf scans, and gives the rung of each control's scopes.
func rungsOf(t *testing.T, cluster *devcluster.Cluster, state string) map[string]int {
	t.Helper()
	out, errs, code := programIn(t, state, "scan", "-o", "json", "--fail-on", "none", "--kubeconfig", cluster.Kubeconfig)
	if code != exitOK {
		t.Fatalf("scan ended with %d: %s", code, errs)
	}
	var r struct {
		Verdicts []struct {
			Control string
			Rung    json.RawMessage
			Scope   json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	rungs := map[string]int{}
	for i, v := range r.Verdicts {
		order := map[string]int{`"unknown"`: 1, `"gap"`: 0, `"sound"`: 2, `"guarded"`: 3, `"proven"`: 4}
		rung, known := order[string(v.Rung)]
		if !known {
			t.Fatalf("verdict %d has rung %s", i, v.Rung)
		}
		rungs[v.Control+" "+string(v.Scope)] = rung
	}
	return rungs
}
