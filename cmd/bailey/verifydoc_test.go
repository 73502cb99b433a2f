package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// TestVerifyWithoutUs runs the commands of docs/verify-without-us.md, as they are
// written, on a piece of evidence, and on one that was tampered with.
func TestVerifyWithoutUs(t *testing.T) {
	for _, tool := range []string{"sh", "jq", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed, and the document uses it", tool)
		}
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "verify-without-us.md"))
	if err != nil {
		t.Fatal(err)
	}
	part, _, _ := strings.Cut(string(text), "\n## The ledger")
	blocks := strings.Split(part, "```sh\n")[1:]
	if len(blocks) < 3 {
		t.Fatalf("the document has %d blocks of commands", len(blocks))
	}
	dir := t.TempDir()
	key, err := prove.StateKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	record := &prove.Record{Run: "run1", Start: time.Unix(1000, 0), End: time.Unix(1001, 0), Results: []prove.Result{{Name: "n", Path: "p", Tried: 1, Held: 1}},
		Exchanges: []prove.Exchange{{Role: "try", Said: "POST /x", Answer: "refused"}},
		Unit: &prove.Unit{Control: &bailey.Control{ID: "test/a"}, Experiment: &bailey.Experiment{Name: "try"}, Scope: bailey.Scope{Kind: bailey.ScopeCluster},
			Probes: []bailey.Probe{{Name: "n", Path: "p"}}}}
	envelope, id, err := prove.Sign(t.Context(), record.Statement(prove.Cluster{UID: "u"}, prove.ProberID{}, prove.Clock{}, key.Custody), key)
	if err != nil {
		t.Fatal(err)
	}
	try := func(envelope []byte) (string, error) {
		if err := os.WriteFile(filepath.Join(dir, "evidence.dsse.json"), envelope, 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, block := range blocks {
			commands, _, _ := strings.Cut(block, "```")
			c := exec.Command("sh", "-ec", commands)
			c.Dir = dir
			data, err := c.CombinedOutput()
			out.Write(data)
			if err != nil {
				return out.String(), err
			}
		}
		return out.String(), nil
	}
	said, err := try(envelope)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{"Signature Verified Successfully", id, prove.KeyID(key.PublicKey()), "POST /x"} {
		if !strings.Contains(said, want) {
			t.Errorf("the commands do not say %q:\n%s", want, said)
		}
	}
	var parts map[string]any
	if err := json.Unmarshal(envelope, &parts); err != nil {
		t.Fatal(err)
	}
	payload := parts["payload"].(string)
	tampered := strings.Replace(string(envelope), payload, "Y"+payload[1:], 1)
	if said, err := try([]byte(tampered)); err == nil || strings.Contains(said, "Successfully") {
		t.Errorf("tampered evidence verifies: %v\n%s", err, said)
	}
}
