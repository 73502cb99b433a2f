package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestServeBaseline: what the baseline accepts is nothing to do, on the pages and in the API as in a scan.
func TestServeBaseline(t *testing.T) {
	state, folder := t.TempDir(), t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(folder, "a.yaml"), "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop}\nspec: {hostNetwork: true, containers: [{name: c, image: x}]}\n")
	accepted, config, data := filepath.Join(state, "accepted.json"), filepath.Join(state, "bailey.yaml"), filepath.Join(state, "data")
	if out, errs, code := programIn(t, state, "baseline", folder, "-o", accepted); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	write(config, "baseline: accepted.json\n")
	if out, errs, code := programIn(t, state, "scan", folder, "--config", config, "--fail-on", "info"); code != exitOK {
		t.Fatalf("the scan has something to do: exit %d: %s%s", code, out, errs)
	}
	p := startServed(t, state, "serve", "--config", config, "--data", data, "--target", folder)
	token := tokenIn(t, data)
	awaitText(t, p, token, "/api/v1/findings?state=waived", `"rule":"compute/pod-security/host-namespaces"`)
	awaitText(t, p, token, "/api/v1/workloads", `"findings":`) // kept after what was found
	read := func(path string, into any) {
		t.Helper()
		code, body := p.get(t, path, token)
		if err := json.Unmarshal([]byte(body), into); code != http.StatusOK || err != nil {
			t.Fatalf("%s: %d, %v: %.300s", path, code, err, body)
		}
	}
	var all struct {
		Total     map[string]int
		Workloads []struct{ Findings map[string]int }
		Items     []struct{ Findings map[string]int }
	}
	for _, path := range []string{"/api/v1/findings", "/api/v1/workloads", "/api/v1/namespaces"} {
		read(path, &all)
	}
	if len(all.Total) == 0 || len(all.Workloads) == 0 || len(all.Items) == 0 {
		t.Fatalf("nothing is counted: %+v", all)
	}
	counts := []map[string]int{all.Total}
	for _, w := range all.Workloads {
		counts = append(counts, w.Findings)
	}
	for _, n := range all.Items {
		counts = append(counts, n.Findings)
	}
	for _, count := range counts {
		for severity, n := range count {
			if n > 0 {
				t.Errorf("%d findings of severity %s are to do: %+v", n, severity, all)
			}
		}
	}
}
