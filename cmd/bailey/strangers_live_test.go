package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/trust/sign"
)

// TestProveStrangers tries images of a real registry on a real API server: unsigned, signed by
// a stranger, by a tag that was moved. With the gate it is held, and the ladder goes to proven;
// a gate that is down and fails closed shows nothing; one that fails open, and none, break it.
func TestProveStrangers(t *testing.T) {
	g := newGated(t)
	gate := g.start()
	host := g.registry.Host
	t.Setenv("DOCKER_CONFIG", g.registry.Config)
	signed := g.registry.Push(t, "shop/web", "1")
	g.sign("shop/web", signed, sign.Options{Key: g.release})
	g.registry.Push(t, "shop/unsigned", "1")
	g.sign("shop/stranger", g.registry.Push(t, "shop/stranger", "1"), sign.Options{Key: newKey(t)})
	before := g.registry.Push(t, "shop/moved", "1")
	g.sign("shop/moved", before, sign.Options{Key: g.release})
	g.registry.Push(t, "shop/moved", "1")
	g.admits(host+"/shop/web:1", signed)
	if _, err := g.create(t.Context(), host+"/shop/web@"+signed, ""); err != nil {
		t.Fatal(err)
	}

	state := t.TempDir()
	policy := []string{"--kubeconfig", g.cluster.Kubeconfig, "--trust-policy", g.policy, "--registry-ca", g.registry.CAFile}
	for _, image := range []string{"/shop/unsigned:1", "/shop/stranger:1", "/shop/moved:1@" + before, "/shop/web:1", "/shop/nowhere:1"} {
		policy = append(policy, "--try-image", host+image)
	}
	rung := func() bailey.Verdict {
		t.Helper()
		out, errs, _ := programIn(t, state, append([]string{"scan", "-c", "deploy/image-identity", "-o", "json"}, policy...)...)
		r, err := report.ReadJSON(strings.NewReader(out))
		if err != nil {
			t.Fatalf("%v: %s", err, errs)
		}
		for _, v := range r.Verdicts {
			if v.Scope.Kind == bailey.ScopeNamespace && v.Scope.Object.Name == "default" {
				return v
			}
		}
		t.Fatalf("no verdict for the namespace: %s", out)
		return bailey.Verdict{}
	}
	run := func(more ...string) (map[string]prove.Outcome, proved, int) {
		t.Helper()
		out, errs, code := programIn(t, state, append(append([]string{"prove", "deploy/image-identity", "-o", "json"}, policy...), more...)...)
		var all struct{ Results []proved }
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("exit %d: %s: %v", code, errs, err)
		}
		for _, image := range []string{"/shop/web:1 is not tried: the trust policy admits it", "/shop/nowhere:1 is not tried: its registry does not have it"} {
			if !strings.Contains(errs, image) {
				t.Errorf("it does not say %q: %s", image, errs)
			}
		}
		for _, p := range all.Results {
			if p.Experiment == "strangers-refused" {
				outcomes := map[string]prove.Outcome{}
				for i := range p.Probes {
					outcomes[p.Probes[i].Name+" ("+p.Probes[i].Path+")"] = p.Probes[i].Outcome()
				}
				return outcomes, p, code
			}
		}
		t.Fatalf("strangers are not tried: %s%s", out, errs)
		return nil, proved{}, 0
	}

	if v := rung(); v.Rung != bailey.RungSound {
		t.Errorf("before anything is tried it stands at %s: %+v", v.Rung, v)
	}
	outcomes, p, code := run()
	if code != exitOK || p.Outcome != prove.Held {
		t.Errorf("exit %d, %s: %s: %v", code, p.Outcome, p.Why, outcomes)
	}
	for _, what := range []string{"unsigned image", "image that others signed", "moved tag"} {
		n := 0
		for name := range outcomes {
			if strings.HasPrefix(name, what+" ") {
				n++
			}
		}
		if n < 6 { // three kinds of container, a volume, an ephemeral one, an update
			t.Errorf("%s is tried in %d ways: %v", what, n, outcomes)
		}
	}
	if v := rung(); v.Rung != bailey.RungProven {
		t.Errorf("after it held it stands at %s: %+v", v.Rung, v)
	}

	// The gate is down, and fails closed: nothing is shown.
	_ = gate.Process.Kill()
	<-gate.done
	g.relay.remove(gate.address)
	if outcomes, p, _ := run("--quick"); p.Outcome != prove.Inconclusive {
		t.Errorf("while the gate is down it is %s: %v", p.Outcome, outcomes)
	}
	// It is down, and fails open.
	for _, plural := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		path := "/apis/admissionregistration.k8s.io/v1/" + plural + "/" + imagegate.Name
		var c map[string]any
		if err := g.cluster.Do(t.Context(), http.MethodGet, path, nil, &c); err != nil {
			t.Fatal(err)
		}
		for _, w := range c["webhooks"].([]any) {
			w.(map[string]any)["failurePolicy"] = "Ignore"
		}
		if err := g.cluster.Do(t.Context(), http.MethodPut, path, c, nil); err != nil {
			t.Fatal(err)
		}
	}
	g.becomes(host+"/shop/unsigned:1", func(_ string, err error) bool { return err == nil })
	if outcomes, p, code := run("--quick"); p.Outcome != prove.Broken || code != exitFindings {
		t.Errorf("with a gate that fails open it ends with %d, %s: %v", code, p.Outcome, outcomes)
	}
	if v := rung(); v.Rung != bailey.RungGap || v.Proof == nil || len(v.Proof.Broken) == 0 {
		t.Errorf("after it was broken it stands at %s: %+v", v.Rung, v)
	}
	// There is none.
	for _, plural := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		if err := g.cluster.Do(t.Context(), http.MethodDelete, "/apis/admissionregistration.k8s.io/v1/"+plural+"/"+imagegate.Name, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	g.becomes(host+"/shop/unsigned:1", func(_ string, err error) bool { return err == nil })
	if outcomes, p, code := run("--quick"); p.Outcome != prove.Broken || code != exitFindings {
		t.Errorf("without a gate it ends with %d, %s: %v", code, p.Outcome, outcomes)
	}
}
