package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
)

// entry is what the model keeps of a finding.
type entry struct {
	bailey.Finding
	open                bool
	first, opened, went time.Time
	times, order        int
}

// model is what the store should hold of a cluster, in a map.
type model struct {
	entries map[string]*entry
	last    int
}

func (m *model) apply(at time.Time, d store.Delta) {
	judged := map[bailey.Ref]bool{}
	for _, o := range slices.Concat(d.Judged, d.Gone) {
		judged[o] = true
	}
	fresh := map[string]bailey.Finding{}
	var ids []string
	for _, f := range d.Findings {
		judged[f.Object] = true
		if _, twice := fresh[f.ID]; !twice {
			ids = append(ids, f.ID)
		}
		fresh[f.ID] = f
	}
	for _, id := range ids {
		e := m.entries[id]
		if e == nil {
			e = &entry{first: at}
			m.entries[id] = e
		}
		e.Finding = fresh[id]
		if !e.open {
			m.last++
			e.open, e.opened, e.order, e.went = true, at, m.last, time.Time{}
			e.times++
		}
	}
	for id, e := range m.entries {
		if _, found := fresh[id]; e.open && judged[e.Object] && !found {
			e.open, e.went = false, at
		}
	}
}

func space(o bailey.Ref) string {
	if o.Kind == bailey.KindNamespace {
		return o.Name
	}
	return o.Namespace
}

// begins tells whether every word of a text begins a word of the finding. Of a word the
// first 64 bytes count.
func begins(e *entry, text string) bool {
	split := func(s string) []string {
		list := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
		for i, w := range list {
			list[i] = strings.ToValidUTF8(w[:min(len(w), 64)], "")
		}
		return list
	}
	have := split(strings.Join([]string{e.Object.Name, e.Object.Namespace, e.Object.Kind.Short(), e.Rule, e.Field, e.Message}, " "))
	for _, w := range split(text) {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return true
}

// find gives what a query should give, all of it and in order. Allowed is nil for all.
func (m *model) find(q store.FindingQuery, allowed []string) []*entry {
	var out []*entry
	for _, e := range m.entries {
		home := space(e.Object)
		if q.State == store.Open && !e.open || q.State == store.Gone && e.open ||
			allowed != nil && !slices.Contains(allowed, home) ||
			len(q.Namespaces) > 0 && !slices.Contains(q.Namespaces, home) ||
			len(q.Controls) > 0 && !slices.Contains(q.Controls, e.Control) ||
			len(q.Rules) > 0 && !slices.Contains(q.Rules, e.Rule) ||
			len(q.Kinds) > 0 && !slices.Contains(q.Kinds, e.Object.Kind) ||
			e.Severity < q.Severity || q.Name != "" && q.Name != e.Object.Name ||
			q.Waived != nil && *q.Waived != (e.Waiver != nil || e.Baseline) ||
			!q.Since.IsZero() && e.opened.Before(q.Since) || !begins(e, q.Text) {
			continue
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entry) int {
		switch q.Sort {
		case store.ByNewest:
			return cmp.Compare(b.order, a.order)
		case store.ByObject:
			return cmp.Or(strings.Compare(space(a.Object), space(b.Object)), strings.Compare(string(a.Object.Kind), string(b.Object.Kind)),
				strings.Compare(a.Object.Name, b.Object.Name), strings.Compare(a.ID, b.ID))
		}
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.order, a.order))
	})
	return out
}

// accepted counts the open findings that waivers take in, by the waiver's rule: not those that only the baseline accepts.
func (m *model) accepted(allowed []string) map[string]int {
	counts := map[string]int{}
	for _, e := range m.find(store.FindingQuery{}, allowed) {
		if e.Waiver != nil {
			counts[e.Waiver.Rule]++
		}
	}
	return counts
}

var (
	spaces = []string{"shop", "bank", "kube-system", ""}
	kinds  = []bailey.Kind{bailey.KindDeployment, bailey.KindPod, bailey.KindNamespace, bailey.KindClusterRole}
	names  = []string{"web", "payment-api", "db", "web-admin"}
	rules  = []string{"compute/pod-security/privileged", "compute/pod-security/host-network", "network/policy/missing", "access/authorization/wildcard",
		"deploy/image-identity/not-pinned"}
	messages = []string{"container web is privileged", "Image registry.example/shop:1.2 is not pinned", "nothing selects it", "übergroß, naïve 100% under_score",
		`"quoted" AND 'single' OR NOT NEAR(a b) col:z ^x -y`, "日本語のテキスト と 短い", strings.Repeat("ab", 60) + " " + strings.Repeat("語", 40)}
	// texts are what is searched for: words, their beginnings, and what a database would take for its own.
	texts = []string{"web", "priv", "pod-security priv", "100%", "under_score", "ÜBER", "nothing such", "%", "regis shop", "deploy", "bank", "kube-sys deploy", "missing",
		`"quoted`, "'single'", "AND", "OR NOT", "NEAR(a", "col:z", "^x -y", "a*", "*", "x", "n", "日本", "の", "日本語のテキスト と", strings.Repeat("ab", 31), strings.Repeat("ab", 70),
		strings.Repeat("語", 21), strings.Repeat("語", 30), "registry.example/shop:1.2", "§1", "§1s4o", "s4o", "web:*", "web & priv", "web | !priv", `we\b`}
)

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func some[T any](r *rand.Rand, list []T) []T {
	var out []T
	for _, x := range list {
		if r.IntN(3) == 0 {
			out = append(out, x)
		}
	}
	return out
}

func randomObject(r *rand.Rand) bailey.Ref {
	o := bailey.Ref{Kind: pick(r, kinds), Namespace: pick(r, spaces), Name: pick(r, names)}
	switch o.Kind {
	case bailey.KindNamespace:
		o.Namespace, o.Name = "", pick(r, spaces[:3])
	case bailey.KindClusterRole:
		o.Namespace = ""
	}
	return o
}

func randomFinding(r *rand.Rand) bailey.Finding {
	f := finding(pick(r, rules), bailey.Severity(1+r.IntN(5)), randomObject(r), pick(r, messages))
	if r.IntN(2) == 0 {
		f.Field, f.Named = "spec.containers[0].image", "spec.containers[web].image"
		f.ID = bailey.FindingID(f.Rule, f.Object, f.Named)
	}
	if r.IntN(4) == 0 {
		f.Waiver = &bailey.Waiver{Rule: f.Rule, Reason: "known", Owner: "team", Expires: begin.AddDate(1, 0, 0)}
	}
	f.Baseline = r.IntN(4) == 0
	return f
}

func randomDelta(r *rand.Rand) store.Delta {
	var d store.Delta
	for range r.IntN(6) {
		d.Findings = append(d.Findings, randomFinding(r))
	}
	for range r.IntN(4) {
		d.Judged = append(d.Judged, randomObject(r))
	}
	if r.IntN(3) == 0 {
		d.Gone = append(d.Gone, randomObject(r))
	}
	// An object that has gone has no findings.
	d.Findings = slices.DeleteFunc(d.Findings, func(f bailey.Finding) bool { return slices.Contains(d.Gone, f.Object) })
	return d
}

func randomQuery(r *rand.Rand) (q store.FindingQuery, allowed []string) {
	q = store.FindingQuery{Cluster: uid, Access: store.Everything(), State: pick(r, []store.State{store.Open, store.Open, store.Gone, store.All}),
		Sort: pick(r, []store.Sort{store.BySeverity, store.ByNewest, store.ByObject}), Limit: 1 + r.IntN(9)}
	if r.IntN(3) == 0 {
		allowed = append([]string{}, some(r, spaces[:3])...)
		q.Access = store.Only(allowed...)
	}
	if r.IntN(3) == 0 {
		q.Namespaces = some(r, spaces)
	}
	if r.IntN(3) == 0 {
		q.Rules = some(r, rules)
	}
	if r.IntN(4) == 0 {
		q.Controls = []string{"compute/pod-security", "network/policy"}
	}
	if r.IntN(3) == 0 {
		q.Severity = bailey.Severity(r.IntN(6))
	}
	if r.IntN(4) == 0 {
		q.Kinds = some(r, kinds)
	}
	if r.IntN(5) == 0 {
		q.Name = pick(r, names)
	}
	if r.IntN(4) == 0 {
		waived := r.IntN(2) == 0
		q.Waived = &waived
	}
	if r.IntN(5) == 0 {
		q.Since = at(r.IntN(60))
	}
	if r.IntN(3) == 0 {
		q.Text = pick(r, texts)
	}
	return q, allowed
}

// walk reads all pages of a query, and gives the last too.
func (b *bench) walk(q store.FindingQuery) (all []store.Finding, last store.FindingPage) {
	b.Helper()
	for {
		page := b.findings(q)
		if len(page.Items) > q.Limit {
			b.Fatalf("a page of %d holds %d", q.Limit, len(page.Items))
		}
		all = append(all, page.Items...)
		if page.Next == "" {
			return all, page
		}
		q.After = page.Next
		if len(all) > 10_000 {
			b.Fatal("the pages do not end")
		}
	}
}

// varyLimits gives a function that has pages found in other ways.
func varyLimits(t *testing.T) func(r *rand.Rand) {
	gather, parts, sample, spaces := limits.Gather, limits.Parts, limits.Sample, limits.Spaces
	t.Cleanup(func() { limits.Gather, limits.Parts, limits.Sample, limits.Spaces = gather, parts, sample, spaces })
	return func(r *rand.Rand) {
		limits.Gather, limits.Parts = pick(r, []int{0, 3, 30, gather}), pick(r, []int{0, 2, parts})
		limits.Sample, limits.Spaces = pick(r, []int{1, 4, 20, sample}), pick(r, []int{1, 2, spaces})
	}
}

// testProperty holds the store to the model over random deltas and queries, in every way
// in which pages are found.
func testProperty(t *testing.T, p Place) {
	vary := varyLimits(t)
	b := open(t, p)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m := &model{entries: map[string]*entry{}}
	for step := range 40 {
		d := randomDelta(r)
		b.apply(step, d)
		m.apply(at(step), d)
		if r.IntN(4) == 0 { // the same once more
			before := b.seq()
			b.apply(step+1, d)
			if b.seq() != before {
				t.Fatalf("step %d: the same delta again made changes", step)
			}
		}
		if r.IntN(10) == 0 { // another cluster's findings with the same IDs
			b.ok(b.s.Apply(b.ctx, other, at(step), randomDelta(r)))
		}
		if r.IntN(6) == 0 {
			b.ok(b.s.Tidy(b.ctx))
		}
		for range 8 {
			vary(r)
			q, allowed := randomQuery(r)
			b.compare(fmt.Sprintf("step %d, gather %d, parts %d, sample %d, %+v", step, limits.Gather, limits.Parts, limits.Sample, q), m, q, allowed)
		}
	}
	b.check()
}

// testAlone holds a store of one cluster to the model: no words of others are in its index.
func testAlone(t *testing.T, p Place) {
	vary := varyLimits(t)
	s, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t, s, t.Context()}
	b.ok(s.PutCluster(b.ctx, uid, "production", at(0)))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m := &model{entries: map[string]*entry{}}
	for step := range 30 {
		d := randomDelta(r)
		b.apply(step, d)
		m.apply(at(step), d)
		if r.IntN(6) == 0 {
			b.ok(b.s.Tidy(b.ctx))
		}
		for range 8 {
			vary(r)
			q, allowed := randomQuery(r)
			q.Text = pick(r, texts)
			b.compare(fmt.Sprintf("step %d, gather %d, parts %d, sample %d, %+v", step, limits.Gather, limits.Parts, limits.Sample, q), m, q, allowed)
		}
		b.ok(b.s.Check(b.ctx, uid))
	}
}

// testUpgrade fills a store as the first version with all of these tables did, and brings it to
// this one: what is asked then gets the same answers.
func testUpgrade(t *testing.T, p Place) {
	var told []string
	telling := store.WithUpgrade(t.Context(), func(from, to int) { told = append(told, fmt.Sprint(from, " to ", to)) })
	t.Cleanup(func() { limits.Newest = 0 })
	for _, limits.Newest = range []int{2, 3} { // what is made, and what holds nothing yet, takes no time
		empty, err := p.Open(telling)
		if err != nil {
			t.Fatal(err)
		}
		if err := empty.Close(); err != nil || len(told) > 0 {
			t.Fatalf("of an empty database is told %q, %v", told, err)
		}
	}
	old := open(t, p)
	vary := varyLimits(t)
	r := rand.New(rand.NewPCG(7, 7))
	m := &model{entries: map[string]*entry{}}
	for step := range 30 {
		d := randomDelta(r)
		old.apply(step, d)
		m.apply(at(step), d)
	}
	old.ok(old.s.Close())
	limits.Newest = 0
	s, err := p.Open(telling)
	old.ok(err)
	t.Cleanup(func() { s.Close() })
	if _, program, err := s.Version(t.Context()); err != nil || len(told) != program-3 || told[0] != "3 to 4" {
		t.Errorf("of the upgrade is told %q, %v", told, err)
	}
	b := &bench{t, s, t.Context()}
	for step := 30; step < 40; step++ {
		for range 30 {
			vary(r)
			q, allowed := randomQuery(r)
			q.Text = pick(r, texts)
			b.compare(fmt.Sprintf("step %d, %+v", step, q), m, q, allowed)
		}
		d := randomDelta(r)
		b.apply(step, d)
		m.apply(at(step), d)
	}
	b.check()
}

// testDowngrade has a history written by the first version with all of these tables, by this one, by
// the first again, which an older release still is, and by this one again.
func testDowngrade(t *testing.T, p Place) {
	t.Cleanup(func() { limits.Newest = 0 })
	vary := varyLimits(t)
	r := rand.New(rand.NewPCG(11, 11))
	m := &model{entries: map[string]*entry{}}
	step := 0
	for turn, newest := range []int{3, 0, 3, 0, 3, 0} {
		limits.Newest = newest
		b := open(t, p)
		ask := func(what string) {
			t.Helper()
			if turn == 0 {
				return // names and words are looked up in an index that is not there yet
			}
			for range 40 {
				vary(r)
				q, allowed := randomQuery(r)
				q.Text = pick(r, texts)
				b.compare(fmt.Sprintf("turn %d, %s, %+v", turn, what, q), m, q, allowed)
			}
		}
		ask("before")
		for range 15 {
			d := randomDelta(r)
			b.apply(step, d)
			m.apply(at(step), d)
			step++
		}
		word := fmt.Sprint("turned", turn)
		f := finding("a/b/c", bailey.SeverityHigh, workload("shop", word), word)
		d := store.Delta{Findings: []bailey.Finding{f}, Verdicts: []bailey.Verdict{{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeCluster}, Rung: bailey.Rung(turn % 5)}}}
		b.apply(step, d)
		m.apply(at(step), d)
		step++
		ask("after")
		for before := range turn + min(turn, 1) {
			if page := b.findings(store.FindingQuery{Access: store.Everything(), State: store.All, Text: fmt.Sprint("turned", before)}); len(page.Items) != 1 || page.Total != 1 {
				t.Errorf("turn %d: what turn %d wrote is found %d times", turn, before, len(page.Items))
			}
		}
		b.check()
		changes, err := b.s.RungChanges(b.ctx, store.RungQuery{Cluster: uid, Access: store.Everything()})
		if b.ok(err); len(changes.Items) != turn+1 {
			t.Errorf("turn %d: the rung changed %d times", turn, len(changes.Items))
		}
		b.ok(b.s.Close())
	}
}

func (b *bench) compare(what string, m *model, q store.FindingQuery, allowed []string) {
	b.Helper()
	taken, more, err := b.s.Accepted(b.ctx, q.Access, q.Cluster)
	b.ok(err)
	byRule := map[string]int{}
	for _, a := range taken {
		byRule[a.Waiver.Rule] += a.Findings
	}
	if accepted := m.accepted(allowed); more || !maps.Equal(byRule, accepted) {
		b.Fatalf("%s: waivers take in %v, want %v", what, byRule, accepted)
	}
	want := m.find(q, allowed)
	got, last := b.walk(q)
	if !slices.EqualFunc(got, want, func(f store.Finding, e *entry) bool { return f.ID == e.ID }) {
		b.Fatalf("%s:\n got %s\nwant %s", what, showFindings(got), showEntries(want))
	}
	for i := range got {
		b.same(what, &got[i], want[i])
	}
	counts := map[bailey.Severity]int{}
	for _, e := range want {
		counts[e.Severity]++
	}
	if last.More { // no more than there are
		for severity, n := range last.Severities {
			if n > counts[severity] {
				b.Fatalf("%s: counted at least %d, by severity %v, of %d, %v", what, last.Total, last.Severities, len(want), counts)
			}
		}
		if last.Total > len(want) {
			b.Fatalf("%s: counted at least %d of %d", what, last.Total, len(want))
		}
		return
	}
	if last.Total != len(want) || len(want) > 0 && !maps.Equal(last.Severities, counts) {
		b.Fatalf("%s: counted %d, by severity %v, want %d, %v", what, last.Total, last.Severities, len(want), counts)
	}
}

// same holds the history of a finding to the model's.
func (b *bench) same(what string, f *store.Finding, e *entry) {
	b.Helper()
	if !f.First.Equal(e.first) || !f.Opened.Equal(e.opened) || !f.Gone.Equal(e.went) || f.Times != e.times || f.IsOpen() != e.open ||
		f.Message != e.Message || f.Severity != e.Severity || f.Object != e.Object || f.Named != e.Named || (f.Waiver == nil) != (e.Waiver == nil) || f.Baseline != e.Baseline {
		b.Fatalf("%s:\n got %+v\nwant %+v", what, f, e)
	}
}

func showFindings(list []store.Finding) string {
	var parts []string
	for _, f := range list {
		parts = append(parts, fmt.Sprintf("%s(%s %s %s %d)", f.ID[:4], f.Severity, f.Object, f.Rule, f.Seq))
	}
	return strings.Join(parts, " ")
}

func showEntries(list []*entry) string {
	var parts []string
	for _, e := range list {
		parts = append(parts, fmt.Sprintf("%s(%s %s %s %d)", e.ID[:4], e.Severity, e.Object, e.Rule, e.order))
	}
	return strings.Join(parts, " ")
}
