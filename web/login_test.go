package web_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/store/sqlite"
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

// TestLogInUnkept: where the database takes neither a login nor a logout, the page says so and what to do, and the log why.
func TestLogInUnkept(t *testing.T) {
	kept, err := sqlite.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture()
	f.sessions = kept
	d := start(t, f, "admin", nil)
	if status, _ := d.get(t, "/findings"); status != http.StatusOK {
		t.Fatalf("logged in: %d", status)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	post := func(c *http.Client, path string, form url.Values, says string) {
		t.Helper()
		answer, err := c.PostForm(d.url+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), says) {
			t.Errorf("%s: %d %v, and the page lacks %q", path, answer.StatusCode, err, says)
		}
	}
	post(d.client(), "/logout", nil, "You are still logged in")
	post(http.DefaultClient, "/login", url.Values{"token": {"admin"}}, "The database does not take the login")
	if said := d.log.String(); !strings.Contains(said, "a login could not be kept") || !strings.Contains(said, "a logout could not be kept") {
		t.Errorf("the log says %q", said)
	}
}
