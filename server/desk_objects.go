package server

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Workloads gives a page of workloads, by namespace, kind and name.
func (d *Desk) Workloads(ctx context.Context, a Ask, f WorkloadFilter) (WorkloadList, error) {
	list := WorkloadList{Workloads: []WorkloadRow{}}
	uid, err := d.cluster(a)
	if err != nil {
		return list, err
	}
	q := store.WorkloadQuery{Cluster: uid, Access: access(a), Kind: f.Kind, Name: f.Text, Limit: f.Limit, After: f.Cursor}
	if f.Namespace != "" {
		q.Namespaces = []string{f.Namespace}
	}
	page, err := d.o.Store.Workloads(ctx, q)
	if err != nil {
		return list, err
	}
	for _, w := range page.Items {
		row := WorkloadRow{Object: objectOf(w.Object, "")}
		for rung, n := range w.Rungs {
			row.Rungs.Add(rung, n)
		}
		for severity, n := range w.Open {
			row.Findings.Add(severity, n)
		}
		list.Workloads = append(list.Workloads, row)
	}
	list.Next = page.Next
	return list, nil
}

// Workload is everything about one object: open findings on it or caused by it, and where it
// stands.
func (d *Desk) Workload(ctx context.Context, a Ask, ref bailey.Ref) (WorkloadPage, error) {
	p := WorkloadPage{Object: objectOf(ref, "")}
	uid, err := d.cluster(a)
	if err != nil {
		return p, err
	}
	kept, err := d.o.Store.Object(ctx, access(a), uid, ref)
	if err != nil {
		return p, err
	}
	for i := range kept.Findings {
		f := &kept.Findings[i]
		if f.Object == ref {
			p.Object.APIVersion = cmp.Or(p.Object.APIVersion, f.APIVersion)
		}
		if !f.IsOpen() {
			continue
		}
		p.Findings = append(p.Findings, d.finding(f))
		if f.Waiver == nil {
			p.Counts.Add(f.Severity, 1)
		}
	}
	for i := range kept.Verdicts {
		p.Standings = append(p.Standings, scopeStanding(&kept.Verdicts[i]))
	}
	p.Evidence, p.Changes = evidenceOf(kept.Evidence), rungChanges(kept.Rungs)
	return p, nil
}

// NamespaceRows gives the namespaces side by side, by name.
func (d *Desk) NamespaceRows(ctx context.Context, a Ask) ([]NamespaceRow, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, err
	}
	rungs, err := d.o.Store.NamespaceRungs(ctx, access(a), uid)
	if err != nil {
		return nil, err
	}
	counts, err := d.o.Store.NamespaceCounts(ctx, access(a), uid)
	if err != nil {
		return nil, err
	}
	rows := map[string]*NamespaceRow{}
	row := func(name string) *NamespaceRow {
		if rows[name] == nil {
			rows[name] = &NamespaceRow{Name: name, Controls: map[string]bailey.Rung{}}
		}
		return rows[name]
	}
	for _, r := range rungs {
		if r.Namespace == "" {
			continue // what belongs to the cluster
		}
		row(r.Namespace).Controls[r.Control] = r.Rung
	}
	for _, n := range counts {
		if n.Namespace != "" {
			row(n.Namespace).Findings.Add(n.Severity, n.Open-n.Waived)
		}
	}
	all := []NamespaceRow{}
	for _, r := range rows {
		for _, rung := range r.Controls {
			r.Rungs.Add(rung, 1)
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b NamespaceRow) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// searchMost bounds the hits of each kind.
const searchMost = 20

// Search finds controls, rules, objects and findings by words.
func (d *Desk) Search(ctx context.Context, a Ask, text string) ([]Hit, error) {
	hits := []Hit{}
	words := strings.Fields(strings.ToLower(text))
	if len(words) == 0 {
		return hits, nil
	}
	bears := func(texts ...string) bool {
		all := strings.ToLower(strings.Join(texts, " "))
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(all, w) })
	}
	for _, c := range d.o.Controls {
		if bears(c.ID, c.Asks) {
			hits = append(hits, Hit{Kind: "control", ID: c.ID, Text: c.Asks})
		}
	}
	n := 0
	for _, c := range d.o.Controls {
		for _, r := range c.Rules {
			if n < searchMost && bears(c.RuleID(r), r.Title) {
				n++
				hits = append(hits, Hit{Kind: "rule", ID: c.RuleID(r), Text: r.Title})
			}
		}
	}
	uid, err := d.cluster(a)
	if err != nil {
		return hits, nil
	}
	found, err := d.o.Store.Search(ctx, access(a), uid, text, searchMost)
	if err != nil {
		return hits, err
	}
	for _, ref := range found.Objects {
		object := objectOf(ref, "")
		hits = append(hits, Hit{Kind: "object", ID: ref.String(), Text: ref.String(), Object: &object})
	}
	for i := range found.Findings {
		f := d.finding(&found.Findings[i])
		hits = append(hits, Hit{Kind: "finding", ID: f.ID, Text: f.Message, Object: &f.Object})
	}
	return hits, nil
}
