package main

import (
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
