package web_test

import (
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// TestObject: the page of a workload keeps apart what somebody accepted, and leads to its waivers, alerts
// and guards, and to the object itself.
func TestObject(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	open, waived, baseline := f.found[0], f.found[1], f.found[2]
	open.Title, waived.Title, baseline.Title = "An open one", "A waived one", "One of the baseline"
	o := f.workload(9)
	open.Waiver, baseline.Waiver, baseline.Baseline = nil, nil, true
	waived.Waiver = &bailey.Waiver{Rule: waived.Rule, Reason: "It waits for a vendor.", Owner: "platform", Expires: f.now.AddDate(0, 1, 0)}
	f.found = []server.Finding{waived, baseline, open}
	for i := range f.found {
		f.found[i].Object, f.found[i].Gone = o, nil
	}
	status, text := d.get(t, "/objects/"+string(o.Kind)+"/"+o.Namespace+"/"+o.Name)
	_, accepted, found := strings.Cut(text, "<h3>Accepted</h3>")
	if status != http.StatusOK || !found {
		t.Fatalf("%d: nothing is accepted", status)
	}
	before := strings.TrimSuffix(text, accepted)
	for title, where := range map[string]string{"An open one": before, "A waived one": accepted, "One of the baseline": accepted} {
		if strings.Count(text, title) != 1 || !strings.Contains(where, title) {
			t.Errorf("%q is not where it belongs", title)
		}
	}
	for _, want := range []string{`<span class="tag">waived</span>`, `<span class="tag">baseline</span>`, "by platform: It waits for a vendor.", `href="/waivers"`, `href="/alerts"`, `href="/enforce"`, "#guards"} {
		if !strings.Contains(accepted, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, want := range []string{"2 accepted", "kubectl get ", "gap, waived until"} {
		if !strings.Contains(before, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

// TestGuardsUnseen: who may read everything, and not how far guards are, reads nothing of it, and is
// led to no page about it.
func TestGuardsUnseen(t *testing.T) {
	f := newFixture()
	d := start(t, f, "reader", nil)
	o := f.workload(9)
	for _, path := range []string{"/", "/findings", "/controls/compute/pod-security", "/objects/" + string(o.Kind) + "/" + o.Namespace + "/" + o.Name} {
		status, text := d.get(t, path)
		if status != http.StatusOK || strings.Contains(text, `href="/enforce"`) || strings.Contains(text, `class="stage`) || strings.Contains(text, "is planned") || strings.Contains(text, "not planned") {
			t.Errorf("%d at %s, which tells of guards", status, path)
		}
	}
	for _, path := range []string{"/enforce", "/enforce?format=csv"} {
		if status, _ := d.get(t, path); status != http.StatusForbidden {
			t.Errorf("%d at %s", status, path)
		}
	}
}

// TestGuardOfControl: a control's page says of a guard how far it is where it is least in place, and
// that it has drifted anywhere.
func TestGuardOfControl(t *testing.T) {
	f := newFixture()
	d := start(t, f, "admin", nil)
	guards, _ := f.Guards(t.Context(), server.Ask{Guards: true}, server.GuardFilter{})
	told := 0
	for _, g := range guards {
		least, drifted := "in place", false
		order := []string{"absent", "audit", "warn", "deny", "in place"}
		for _, s := range g.Stages {
			for _, stage := range order {
				if stage == s.Stage {
					least = stage
				}
				if stage == least {
					break
				}
			}
			drifted = drifted || s.Drifted
		}
		if len(g.Stages) < 2 {
			continue
		}
		told++
		_, text := d.get(t, "/controls/"+g.Control)
		_, text, _ = strings.Cut(text, "<h3>"+html.EscapeString(g.Title))
		text, _, _ = strings.Cut(text, "</article>")
		if !strings.Contains(text, `">`+least+"</span>") || strings.Contains(text, "drifted") != drifted {
			t.Errorf("%s %s stands at %s, drifted %t: %.2000s", g.Control, g.Name, least, drifted, text)
		}
	}
	if told == 0 {
		t.Error("no guard has several scopes")
	}
}
