package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestSpoke: what is of the hub's own cluster is not shown under the name of another: not its ledger, its runs, its waivers nor
// what was done to it. Evidence of a spoke leads to none of them, and the pages say where what is asked for is kept.
func TestSpoke(t *testing.T) {
	f := newFixture()
	f.many = true
	d := start(t, f, "admin", newBook(t, 3))
	const other = "cluster=spoke-2"
	object := f.workload(9)
	for _, path := range []string{
		"/experiments/compute/pod-security/" + f.control("compute/pod-security").Experiments[0].Name,
		"/objects/" + string(object.Kind) + "/" + object.Namespace + "/" + object.Name,
		"/controls/compute/pod-security",
	} {
		status, text := d.get(t, path)
		runs, entries := strings.Count(text, `href="/runs/run-`), strings.Count(text, `href="/ledger?entry=`)
		if status != http.StatusOK || entries == 0 || strings.Contains(text, "its own server") {
			t.Errorf("%s: %d leads to %d runs and %d entries of the ledger", path, status, runs, entries)
		}
		status, text = d.get(t, path+"?"+other)
		if status != http.StatusOK || strings.Contains(text, `href="/ledger`) || strings.Contains(text, `href="/runs/`) {
			t.Errorf("%s of a spoke: %d leads to what is of the hub's own cluster", path, status)
		}
		if r, e := strings.Count(text, " of its own server ·"), strings.Count(text, " of its own server’s ledger"); r != runs || e != entries || !strings.Contains(text, "entry 411 of") {
			t.Errorf("%s of a spoke names %d of %d runs and %d of %d entries as its own server's", path, r, runs, e, entries)
		}
	}
	const elsewhere = "is watched by another server"
	for path, secret := range map[string]string{
		"/ledger":                 `id="verifier"`,
		"/ledger?entry=2":         `data-entry="2"`,
		"/runs":                   f.run.ID,
		"/runs?state=running":     f.run.ID,
		"/waivers":                "Bought, not delivered.",
		"/waivers?owner=platform": "Bought, not delivered.",
		"/activity":               "continuous-integration",
	} {
		if status, text := d.get(t, path); status != http.StatusOK || !strings.Contains(text, secret) || strings.Contains(text, elsewhere) {
			t.Errorf("%s: %d lacks %q", path, status, secret)
		}
		of := path + "?" + other
		if strings.Contains(path, "?") {
			of = path + "&" + other
		}
		if status, text := d.get(t, of); status != http.StatusOK || strings.Contains(text, secret) || strings.Count(text, elsewhere) != 1 || strings.Contains(text, "Without the filter") {
			t.Errorf("%s: %d has %q, or does not say where it is kept", of, status, secret)
		}
		if _, text := d.get(t, of+"&format=csv"); strings.Contains(text, secret) {
			t.Errorf("%s: the file has %q", of, secret)
		}
	}
	if status, text := d.get(t, "/ledger?format=csv&"+other); status != http.StatusNotAcceptable || strings.Contains(text, "index") {
		t.Errorf("the hub's ledger is given as a spoke's: %d %.200s", status, text)
	}
	if status, text := d.get(t, "/waivers/new?rule=access/tls&"+other); status != http.StatusBadRequest || !strings.Contains(text, "at the server that watches it") || strings.Contains(text, "<form class=\"card form\"") {
		t.Errorf("a form for a waiver that cannot be added: %d", status)
	}
}
