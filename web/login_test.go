package web_test

import (
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
