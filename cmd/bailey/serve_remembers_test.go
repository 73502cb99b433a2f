package main

import (
	"cmp"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// remembered is history that the API told of: some findings, and how one control moved on the ladder, the oldest first.
type remembered struct {
	query    string // for the findings
	findings []lived
	changes  []server.RungChange
}

// lived is when a finding came and went.
type lived struct {
	ID            string
	First, Opened time.Time
	Gone          time.Time // zero while it is there
	Times         int
}

// rememberedControl is one that a pod on its node's network takes to a gap.
const rememberedControl = "compute/pod-security"

// remember asks for history, of which there must be some.
func (p *servedProcess) remember(t *testing.T, token, query string) remembered {
	t.Helper()
	m := remembered{query: query}
	var page server.FindingPage
	p.decode(t, "/api/v1/findings?limit=1000&"+query, token, &page)
	for _, f := range page.Findings {
		l := lived{ID: f.ID, First: f.First, Opened: f.Opened, Times: f.Times}
		if f.Gone != nil {
			l.Gone = *f.Gone
		}
		m.findings = append(m.findings, l)
	}
	slices.SortFunc(m.findings, func(a, b lived) int { return cmp.Compare(a.ID, b.ID) })
	var changes struct{ Items []server.RungChange }
	p.decode(t, "/api/v1/changes?order=oldest&limit=1000&control="+rememberedControl, token, &changes)
	m.changes = changes.Items
	fell := func(c server.RungChange) bool { return c.To != nil && *c.To == bailey.RungGap }
	if len(m.findings) == 0 || !slices.ContainsFunc(m.changes, fell) {
		t.Fatalf("there is no history: %d findings of %s, and %d changes of %s", len(m.findings), query, len(m.changes), rememberedControl)
	}
	return m
}

// still asks for the same again, and wants it unchanged; what came since is behind it.
func (m remembered) still(t *testing.T, p *servedProcess, token string) {
	t.Helper()
	now := p.remember(t, token, m.query)
	if !reflect.DeepEqual(now.findings, m.findings) {
		t.Errorf("of findings of %s history says %+v, and said %+v", m.query, now.findings, m.findings)
	}
	if n := len(m.changes); len(now.changes) < n || !reflect.DeepEqual(now.changes[:n], m.changes) {
		t.Errorf("of %s history says %s, and said %s", rememberedControl, moves(now.changes), moves(m.changes))
	}
}

// moves says how a control moved, shortly.
func moves(changes []server.RungChange) (all []string) {
	for _, c := range changes[:min(20, len(changes))] {
		from, to := "none", "none"
		if c.From != nil {
			from = c.From.String()
		}
		if c.To != nil {
			to = c.To.String()
		}
		all = append(all, fmt.Sprintf("%s %+v: %s to %s", c.At.Format(time.RFC3339Nano), c.Scope, from, to))
	}
	return all
}

// gone makes a pod and takes it away again, and gives what history says of it.
func (w *troubled) gone(t *testing.T, pod string) remembered {
	t.Helper()
	w.pod(t, pod)
	w.awaitKept(t, pod)
	w.delete(t, pod)
	awaitWithin(t, time.Minute, "what was wrong with "+pod+" is gone", func() bool {
		code, body := w.get(t, "/api/v1/findings?state=gone&name="+pod, w.token)
		return code == http.StatusOK && strings.Contains(body, `"name":"`+pod+`"`)
	})
	m := w.remember(t, w.token, "state=gone&name="+pod)
	for _, l := range m.findings {
		if l.First.IsZero() || l.Gone.Before(l.First) {
			t.Errorf("it came at %s and went at %s", l.First, l.Gone)
		}
	}
	return m
}
