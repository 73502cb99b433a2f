package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/report"
	"github.com/baileyhq/bailey/store"
)

// WorkloadOrders are the orders of workloads.
var WorkloadOrders = []string{"name", "findings"}

// Workloads gives a page of workloads.
func (d *Desk) Workloads(ctx context.Context, a Ask, f WorkloadFilter) (WorkloadList, error) {
	list := WorkloadList{Workloads: []WorkloadRow{}}
	if err := known("order", f.Order, WorkloadOrders); err != nil {
		return list, err
	}
	uid, err := d.cluster(a)
	if err != nil {
		return list, err
	}
	q := store.WorkloadQuery{Cluster: uid, Access: access(a), Namespaces: onlyIn(f.Namespace), Kind: f.Kind, Name: f.Text, ByFindings: f.Order == "findings", Limit: f.Limit, After: f.Cursor}
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

// Workload is everything about one object: open findings on it or caused by it, where it stands,
// and what guards it and alerts of it.
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
		if f.Waiver == nil && !f.Baseline {
			p.Counts.Add(f.Severity, 1)
		}
	}
	slices.SortStableFunc(p.Findings, func(a, b Finding) int { return cmp.Compare(accepted(&a), accepted(&b)) })
	for i := range kept.Verdicts {
		p.Standings = append(p.Standings, scopeStanding(&kept.Verdicts[i]))
	}
	p.Evidence, p.Changes = evidenceOf(a, kept.Evidence), rungChanges(kept.Rungs)
	if uid != d.o.Own() || !d.o.Files {
		p.Command = report.KubectlShow(ref)
	}
	if p.Guards, err = d.guardsOf(ctx, a, uid, ref, p.Standings); err != nil {
		return p, err
	}
	p.Alerts, err = d.alertsOf(ctx, a, uid, ref, kept.Alerts)
	return p, err
}

// Lacks gives those of some objects about which there is nothing to show: they were judged as parts of others, or nothing of them was
// judged, or they may not be seen.
func (d *Desk) Lacks(ctx context.Context, a Ask, refs []bailey.Ref) (map[bailey.Ref]bool, error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, err
	}
	return d.o.Store.Lacks(ctx, access(a), uid, refs)
}

// accepted orders findings: those that nobody accepted come first.
func accepted(f *Finding) int {
	switch {
	case f.Waiver != nil:
		return 1
	case f.Baseline:
		return 2
	}
	return 0
}

// guardsOf gives the guards of the controls that stand for an object, with the stages that count
// for it: its own, its namespace's and the cluster's.
func (d *Desk) guardsOf(ctx context.Context, a Ask, uid string, ref bailey.Ref, standings []ScopeStanding) ([]GuardInfo, error) {
	all, err := d.guardInfos(ctx, a, store.GuardQuery{Cluster: uid})
	if err != nil {
		return nil, err
	}
	var guards []GuardInfo
	for _, g := range all {
		if !slices.ContainsFunc(standings, func(s ScopeStanding) bool { return s.Control == g.Control }) {
			continue
		}
		g.Stages = slices.DeleteFunc(g.Stages, func(s GuardStage) bool {
			switch s.Scope.Kind {
			case bailey.ScopeCluster:
				return false
			case bailey.ScopeNamespace:
				return ref.Namespace == "" || s.Scope.Object.Name != ref.Namespace
			}
			return s.Scope.Object != ref
		})
		if len(g.Stages) > 0 {
			guards = append(guards, g)
		}
	}
	return guards, nil
}

// alertsMost bounds the alerts on the page of an object.
const alertsMost = 10

// alertsOf gives the alerts that last, of an object or of its namespace, the newest first.
func (d *Desk) alertsOf(ctx context.Context, a Ask, uid string, ref bailey.Ref, own []store.Alert) ([]Alert, error) {
	kept := slices.DeleteFunc(own, func(k store.Alert) bool { return !k.Resolved.IsZero() })
	if ref.Namespace != "" {
		namespace := bailey.Ref{Kind: bailey.KindNamespace, Name: ref.Namespace}
		page, err := d.o.Store.Alerts(ctx, store.AlertQuery{Cluster: uid, Access: access(a), Namespaces: []string{ref.Namespace}, Object: &namespace, State: store.Open, Limit: alertsMost})
		if err != nil {
			return nil, err
		}
		kept = append(kept, page.Items...)
	}
	slices.SortStableFunc(kept, func(a, b store.Alert) int { return b.Last.Compare(a.Last) })
	var alerts []Alert
	for i := range kept[:min(len(kept), alertsMost)] {
		alerts = append(alerts, alertOf(&kept[i]))
	}
	return alerts, nil
}

// NamespaceRows gives the namespaces that a filter takes, side by side, and how many it takes without its limit.
func (d *Desk) NamespaceRows(ctx context.Context, a Ask, f NamespaceFilter) (rows []NamespaceRow, total int, err error) {
	uid, err := d.cluster(a)
	if err != nil {
		return nil, 0, err
	}
	all := namespaceRows{}
	counts, err := d.o.Store.NamespaceCounts(ctx, access(a), uid)
	if err != nil {
		return nil, 0, err
	}
	for _, n := range counts {
		all.row(n.Namespace).Findings.Add(n.Severity, n.Open-n.Waived)
	}
	some := f.Limit > 0 && f.sparing()
	if some {
		err = d.sortable(ctx, a, uid, f, all)
	} else {
		err = d.stand(ctx, a, uid, all)
	}
	if err != nil {
		return nil, 0, err
	}
	rows, total, err = f.Of(all.list())
	if err != nil || !some || len(rows) == 0 {
		return rows, total, err
	}
	shown, names := namespaceRows{}, []string{}
	for i := range rows {
		rows[i].Rungs, rows[i].Controls = Rungs{}, map[string]bailey.Rung{}
		shown[rows[i].Name] = &rows[i]
		names = append(names, rows[i].Name)
	}
	return rows, total, d.stand(ctx, a, uid, shown, names...)
}

// sortable adds the namespaces that were judged, with no more than a filter needs to sort and take them.
func (d *Desk) sortable(ctx context.Context, a Ask, uid string, f NamespaceFilter, all namespaceRows) error {
	names, err := d.o.Store.JudgedNamespaces(ctx, access(a), uid)
	if err != nil {
		return err
	}
	for _, name := range names {
		all.row(name)
	}
	if f.Control != "" {
		rungs, err := d.o.Store.NamespaceRungs(ctx, access(a), uid, f.Control)
		if err != nil {
			return err
		}
		for _, r := range rungs {
			all.row(r.Namespace).Controls[r.Control] = r.Rung
		}
	}
	if f.Order != "worst" && (f.Rung == nil || f.Control != "") {
		return nil
	}
	gaps, err := d.o.Store.NamespaceGaps(ctx, access(a), uid)
	for name, n := range gaps {
		all.row(name).Rungs.Gap = n
	}
	return err
}

// stand adds how the controls stand in namespaces, in all if none is named.
func (d *Desk) stand(ctx context.Context, a Ask, uid string, all namespaceRows, names ...string) error {
	rungs, err := d.o.Store.NamespaceRungs(ctx, access(a), uid, "", names...)
	for _, r := range rungs {
		row := all.row(r.Namespace)
		row.Controls[r.Control] = r.Rung
		row.Rungs.Add(r.Rung, 1)
	}
	return err
}

// namespaceRows are rows by name; "" is what belongs to the cluster.
type namespaceRows map[string]*NamespaceRow

func (all namespaceRows) row(name string) *NamespaceRow {
	if all[name] == nil {
		all[name] = &NamespaceRow{Name: name, Controls: map[string]bailey.Rung{}}
	}
	return all[name]
}

func (all namespaceRows) list() []NamespaceRow {
	list := []NamespaceRow{}
	for name, r := range all {
		if name != "" {
			list = append(list, *r)
		}
	}
	return list
}
