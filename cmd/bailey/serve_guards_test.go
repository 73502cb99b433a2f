package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/server"
)

// TestServeGuards: the server says how far a guard is, and what it would refuse of what is there;
// that it is in place once it was applied, that somebody has changed it within seconds, and that it
// is gone once it was taken back.
func TestServeGuards(t *testing.T) {
	cluster := devclustertest.Own(t)
	kubectl(t, cluster, "create", "namespace", "shop")
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "roamer", "labels": map[string]any{"bailey.dev/trust": "untrusted"}},
		"spec": map[string]any{"tolerations": []any{map[string]any{"operator": "Exists"}}, "automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": "x"}}}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // its ServiceAccount comes first
		err := cluster.Do(t.Context(), "POST", "/api/v1/namespaces/shop/pods", pod, nil)
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	state := t.TempDir()
	data := filepath.Join(state, "data")
	serve := []string{"serve", "--data", data, "--kubeconfig", cluster.Kubeconfig, "--prove-every", "0"}
	p := startServed(t, state, serve...)
	token := tokenIn(t, data)
	const control, name = "compute/node-isolation", "untrusted-kept-from-dedicated-nodes"
	until := func(what string, there func(server.GuardInfo, server.GuardStage) bool) server.GuardStage {
		t.Helper()
		var last server.GuardInfo
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			var list struct{ Items []server.GuardInfo }
			if _, body := p.get(t, "/api/v1/guards", token); json.Unmarshal([]byte(body), &list) != nil {
				continue
			}
			for _, g := range list.Items {
				if g.Control == control && g.Name == name {
					last = g
					for _, s := range g.Stages {
						if s.Scope.Object.Name == "shop" && there(g, s) {
							return s
						}
						if s.Scope.Object.Name != "shop" && s.Impact != nil && (s.Impact.Refused > 0 || len(s.Impact.Examples) > 0) {
							t.Fatalf("%s shows what is in another namespace: %+v", s.Scope, s.Impact)
						}
					}
				}
			}
		}
		t.Fatalf("not %s: %+v", what, last)
		return server.GuardStage{}
	}
	absent := until("planned, with its impact", func(g server.GuardInfo, s server.GuardStage) bool {
		return s.Stage == "absent" && !s.Drifted && s.Impact != nil && len(g.Changes) >= 2
	})
	if i := absent.Impact; i.Refused != 1 || i.Judged < 1 || len(i.Examples) != 1 || i.Examples[0].Name != "roamer" {
		t.Errorf("the impact is %+v", i)
	}
	apply := func() {
		t.Helper()
		if out, errs, code := programIn(t, state, enforceArgs(cluster, control)...); code != exitOK {
			t.Fatalf("exit %d: %s%s", code, out, errs)
		}
	}
	apply() // at first it audits and warns
	until("warning", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Stage == "warn" && !s.Drifted })
	apply()
	until("in place", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Stage == "in place" && !s.Drifted })

	binding := strings.TrimSpace(string(kubectl(t, cluster, "get", "validatingadmissionpolicybindings", "-o", "name")))
	for one := range strings.Lines(binding) {
		kubectl(t, cluster, "patch", strings.TrimSpace(one), "--type=merge", "-p", `{"spec":{"validationActions":["Audit"]}}`)
	}
	drifted := until("drifted", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Drifted })
	if drifted.Stage == "in place" || !strings.Contains(drifted.Why, "validationActions") {
		t.Errorf("%+v", drifted)
	}
	if _, page := p.get(t, "/enforce?stage=drifted", token); !strings.Contains(page, "drifted from what was applied") || !strings.Contains(page, "bailey enforce "+control) {
		t.Error("the page does not say that it has drifted, and what to do")
	}
	p.end(t)
	p = startServed(t, state, serve...)
	if again := until("drifted still", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Drifted }); !again.Since.Equal(drifted.Since) {
		t.Errorf("drifted since %s, and after a restart since %s", drifted.Since, again.Since)
	}
	apply()
	until("in place again", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Stage == "in place" && !s.Drifted })
	revert(t, cluster, state)
	until("gone", func(_ server.GuardInfo, s server.GuardStage) bool { return s.Stage == "absent" && !s.Drifted })
	if code, said := p.end(t); code != exitOK || strings.Contains(said, "level=ERROR") {
		t.Errorf("exit %d: %s", code, said)
	}
}
