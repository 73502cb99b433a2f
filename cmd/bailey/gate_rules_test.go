package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestGatePrintRules(t *testing.T) {
	plain := printed(t)
	with := printed(t, "--rules", "network/policy,compute/sandbox/untrusted-without-sandbox", "--refuse-stale")
	for _, text := range []string{"rules.gate.bailey.dev", "networkpolicies", "constraints.gatekeeper.sh"} {
		if strings.Contains(plain, text) || !strings.Contains(with, text) {
			t.Errorf("%s belongs to --rules:\n%s", text, with)
		}
	}
	if strings.Contains(with, "- secrets\n  verbs:\n  - list") {
		t.Error("the rights read Secrets")
	}
	for name, says := range map[string]string{
		"network/policy/no-such":             "is no rule or control",
		"access/api-server/no-such":          "is no rule or control",
		"observe/time":                       "says something of pods",
		"network/policy, compute/pods-ecure": "is no rule or control",
	} {
		code, _, stderr := printRun(t, "--rules", name)
		if code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: %d, %s", name, code, stderr)
		}
	}
}

func printed(t *testing.T, flags ...string) string {
	t.Helper()
	code, out, stderr := printRun(t, flags...)
	if code != exitOK {
		t.Fatalf("%d: %s", code, stderr)
	}
	return out
}

func printRun(t *testing.T, flags ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = run(t.Context(), append([]string{"gate", "--print", "--url", "https://gate.example:8443"}, flags...), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// TestGatePrintWaivers: --print carries the waivers of a bailey.yaml and nothing else of it.
func TestGatePrintWaivers(t *testing.T) {
	folder := t.TempDir()
	put(t, filepath.Join(folder, "trust.yaml"), "version: 1\nrules:\n- {name: none, images: [\"registry.example/none\"], unsigned: true}\n")
	conf := filepath.Join(folder, "conf.yaml")
	put(t, conf, "detection: {webhook: 'secret.example:1'}\nwaivers:\n- {rule: network/policy/no-ingress-policy, namespace: shop, reason: it is moved, owner: jane, expires: 2027-01-31}\n")
	run1 := func(flags ...string) (int, string, string) {
		var out, err strings.Builder
		code := run(t.Context(), append([]string{"gate", "--print", "--policy", filepath.Join(folder, "trust.yaml"), "--image", "r.example/b@sha256:" + strings.Repeat("0", 64),
			"--ledger-recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", "--waivers", conf}, flags...), strings.NewReader(""), &out, &err)
		return code, out.String(), err.String()
	}
	code, out, stderr := run1("--rules", "network/policy")
	if code != exitOK || !strings.Contains(out, "owner: jane") || !strings.Contains(out, "/etc/bailey/trust/bailey.yaml") || strings.Contains(out, "secret.example") {
		t.Errorf("%d %s\n%s", code, stderr, out)
	}
	if code, _, stderr := run1(); code != exitUsage || !strings.Contains(stderr, "--rules names them") {
		t.Errorf("without rules: %d %s", code, stderr)
	}
	put(t, conf, "waivers:\n- {rule: network/policy/no-ingress-policy, reason: it is moved, expires: 2027-01-31}\n")
	if code, _, stderr := run1("--rules", "network/policy"); code != exitUsage || !strings.Contains(stderr, "has no owner") {
		t.Errorf("without an owner: %d %s", code, stderr)
	}
}
