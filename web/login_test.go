package web_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestLogInBusy: who comes while many others do is told so, and not that the cluster is away; the log has no line for each.
func TestLogInBusy(t *testing.T) {
	d := start(t, newFixture(), "", nil)
	answer, err := d.client().PostForm(d.url+"/login", url.Values{"token": {crowded}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "Many others log in") || d.log.String() != "" {
		t.Errorf("%d %v, log %q: %s", answer.StatusCode, err, d.log, body)
	}
}

// TestForbiddenRule: who may not see a page is given the rule that would let them, not another.
func TestForbiddenRule(t *testing.T) {
	f := newFixture()
	f.many = true
	for _, c := range []struct{ person, path, want string }{
		{"stranger", "/", "kind: Role\nmetadata:\n  name: bailey-get-reports\n  namespace: NAMESPACE\nrules:\n- apiGroups: [bailey.dev]\n  resources: [reports]\n  verbs: [get]"},
		{"stranger", "/?cluster=spoke-1", "kind: ClusterRole\nmetadata:\n  name: bailey-get-clusters\nrules:\n- apiGroups: [bailey.dev]\n  resources: [clusters]\n  resourceNames: [\"spoke-1\"]\n  verbs: [get]"},
		{"tenant", "/ledger", "kind: ClusterRole\nmetadata:\n  name: bailey-get-ledgers\nrules:\n- apiGroups: [bailey.dev]\n  resources: [ledgers]\n  verbs: [get]"},
		{"tenant", "/activity", "kind: ClusterRole\nmetadata:\n  name: bailey-get-reports\nrules:\n- apiGroups: [bailey.dev]\n  resources: [reports]\n  verbs: [get]"},
		{"tenant", "/enforce", "kind: ClusterRole\nmetadata:\n  name: bailey-get-guards\nrules:\n- apiGroups: [bailey.dev]\n  resources: [guards]\n  verbs: [get]"},
		{"tenant", "/waivers/new", "kind: ClusterRole\nmetadata:\n  name: bailey-create-waivers\nrules:\n- apiGroups: [bailey.dev]\n  resources: [waivers]\n  verbs: [create]"},
	} {
		status, text := start(t, f, c.person, newBook(t, 3)).get(t, c.path)
		if status != http.StatusForbidden || !strings.Contains(html.UnescapeString(text), c.want) {
			t.Errorf("%s at %s: %d, and the page lacks\n%s", c.person, c.path, status, c.want)
		}
	}
}
