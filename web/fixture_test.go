package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/server"
)

// fixture is a Desk over made-up data: all controls on all rungs, long names, hostile text.
type fixture struct {
	sessions   server.SessionStore // where sessions are kept; nil: in memory
	now        time.Time
	controls   []*bailey.Control
	namespaces []string
	found      []server.Finding

	mu      sync.Mutex
	waivers []server.WaiverEntry
	run     server.Run // the one that goes on
	refused []server.Action

	// What it stands for: nothing seen, a cluster out of sight, several clusters, a failing store.
	empty, firstLook, lost, many bool
	// spokes is how many clusters there are beside those.
	spokes int
	// unkept keeps nothing of what is seen, and away is an API server that does not answer.
	unkept, away bool
	// more has more findings than are counted.
	more bool
	// calm has no alerts.
	calm bool
	// planning tells that plans of experiments take long.
	planning bool
	// asksOnly lets no run make objects of its own.
	asksOnly bool
	fails    error
	slow     time.Duration     // for each page of findings
	patience time.Duration     // of the server, for an answer; 0: it has no end
	gate     *server.GateState // nil where none runs
}

const ownUID = "3f1c9a52-6d0e-4c1b-9f0e-7d2a4b8c6e10"

func (f *fixture) Clusters(ctx context.Context, ask server.Ask) ([]server.ClusterInfo, error) {
	if f.fails != nil {
		return nil, f.fails
	}
	if f.empty {
		return nil, nil
	}
	all := []server.ClusterInfo{{UID: ownUID, Name: "prod-eu-west-1", Heard: f.now, Own: true}}
	if f.many {
		all = append(all, server.ClusterInfo{UID: "spoke-1", Name: "edge-" + strings.Repeat("factory-floor-", 4) + "1", Heard: f.now.Add(-time.Hour)},
			server.ClusterInfo{UID: "spoke-2", Name: hostile, Heard: f.now.Add(-50 * time.Hour)})
	}
	for i := range f.spokes {
		all = append(all, server.ClusterInfo{UID: fmt.Sprintf("site-%03d", i), Name: fmt.Sprintf("site %03d", i), Heard: f.now})
	}
	return slices.DeleteFunc(all, func(c server.ClusterInfo) bool {
		shown, _ := ask.Shown(ctx, c.UID)
		return !shown
	}), nil
}

func (f *fixture) Fleet(ctx context.Context, ask server.Ask, filter server.FleetFilter) (server.Fleet, error) {
	all, err := f.Clusters(ctx, ask)
	var rows []server.FleetRow
	for i, c := range all {
		row := server.FleetRow{ClusterInfo: c, Ready: i != 2, Findings: server.Counts{Critical: 3 - i, High: 400 * i, Medium: 7}}
		for n := range f.controls {
			row.Rungs.Add(rungOf(n+i), 1)
		}
		sight, _ := f.SightOf(ctx, server.Ask{Cluster: c.UID})
		row.Lost, row.Why = sight.Lost, sight.Why
		if strings.Contains(c.Name, filter.Text) && (filter.State == "" || (filter.State == "lost") == (row.Lost != nil)) {
			rows = append(rows, row)
		}
	}
	switch filter.Order {
	case "heard":
		slices.SortStableFunc(rows, func(a, b server.FleetRow) int { return a.Heard.Compare(b.Heard) })
	case "findings":
		slices.SortStableFunc(rows, func(a, b server.FleetRow) int { return worst(a.Findings, b.Findings) })
	}
	fleet := server.Fleet{Total: len(rows)}
	if err == nil {
		fleet.Clusters, fleet.Next, err = piece(rows, filter.Cursor, filter.Limit)
	}
	return fleet, err
}

func (f *fixture) SightOf(_ context.Context, ask server.Ask) (server.Sight, error) {
	s := server.Sight{Ready: !f.firstLook, Changed: f.now.Add(-7 * time.Second), Objects: 12_843}
	if ask.Cluster != "" && ask.Cluster != ownUID {
		if ask.Cluster == "spoke-1" {
			since := f.now.Add(-time.Hour)
			s.Lost, s.Why = &since, "nothing was pushed since then"
		}
		return s, nil
	}
	s.Detections = &server.DetectionState{Since: f.now.Add(-30 * time.Hour), Blind: []string{"admin-role", "static-pod"}}
	if f.unkept {
		since := f.now.Add(-11 * time.Minute)
		s.Kept = &since
	}
	if f.lost {
		since := f.now.Add(-11 * time.Minute)
		s.Lost, s.Why = &since, "Get \"https://10.0.0.1:6443/version\": dial tcp 10.0.0.1:6443: connect: connection refused"
		s.Detections.Problem = "the audit log has not been read since 2026-11-26T10:00:00Z: open /var/log/kubernetes/audit.log: permission denied"
	}
	return s, nil
}

func (f *fixture) Overview(_ context.Context, ask server.Ask) (server.Overview, error) {
	clusters, _ := f.Clusters(context.Background(), ask)
	o := server.Overview{Cluster: clusters[0]}
	o.Sight, _ = f.SightOf(context.Background(), ask)
	for _, c := range f.controls {
		s := f.standing(c)
		if len(o.Lanes) == 0 || o.Lanes[len(o.Lanes)-1].Name != c.Area() {
			phase := c.Area()
			if !slices.Contains([]string{"develop", "distribute", "deploy"}, phase) {
				phase = "runtime"
			}
			o.Lanes = append(o.Lanes, server.Lane{Name: c.Area(), Phase: phase})
		}
		lane := &o.Lanes[len(o.Lanes)-1]
		lane.Standings = append(lane.Standings, s)
		o.Rungs.Add(s.Rung, 1)
		if ask.Sees.All {
			o.Seen, o.Needed = o.Seen+s.Seen, o.Needed+s.Needed
		}
		if ask.Sees.All && len(s.Missing) > 0 && len(o.Missing) < 9 {
			o.Missing = append(o.Missing, s.Missing[0])
		}
	}
	for _, x := range f.visible(ask, server.FindingFilter{}) {
		o.Counts.Add(x.Severity, 1)
		if len(o.First) < 8 && x.Severity >= bailey.SeverityHigh && !slices.ContainsFunc(o.First, func(y server.FixFirst) bool { return y.Rule == x.Rule }) {
			o.First = append(o.First, server.FixFirst{Rule: x.Rule, Title: x.Title, Severity: x.Severity, Object: x.Object, Findings: 87 / (len(o.First) + 1), Message: x.Message, Finding: x.ID})
		}
	}
	o.Changed = f.moves(12)
	for i := range 30 {
		d := server.Day{Date: f.now.AddDate(0, 0, i-29).Format(time.DateOnly), Held: 1400 + (i*517)%900, Inconclusive: (i * 37) % 90}
		if i < 6 {
			d = server.Day{Date: d.Date}
		}
		if i == 12 || i == 25 {
			d.Broken = 4 + i
		}
		o.Proofs = append(o.Proofs, d)
	}
	return o, nil
}

func (f *fixture) standing(c *bailey.Control) server.Standing {
	i := slices.Index(f.controls, c)
	s := server.Standing{Control: c.ID, Asks: c.Asks, Rung: rungOf(i), Since: f.now.Add(-time.Duration(i+1) * 7 * time.Hour), Seen: 90 + i, Needed: 90 + i}
	switch s.Rung {
	case bailey.RungGap:
		s.Findings = server.Counts{Critical: i % 3, High: 4 + i, Medium: 12, Low: 3}
		s.Next = "fix the " + strconv.Itoa(19+i) + " findings: bailey scan --fix --control " + c.ID
		if i%5 == 0 {
			until := f.now.Add(9 * 24 * time.Hour)
			s.WaivedUntil = &until
		}
	case bailey.RungUnknown:
		s.Needed += 40
		s.Missing = []string{"StorageClasses (" + c.ID + "): may not list storageclasses.storage.k8s.io; grant it with bailey install --print-rbac", "Nodes: nothing scanned the machines; bailey scan host --print-pod"}
		s.Next = "let Bailey see what is missing"
	case bailey.RungProven:
		s.Proof = &server.Proof{Held: 1024, Tried: 1024, At: f.now.Add(-3 * time.Hour), Bound: bailey.FailureBound(64)}
	default:
		s.Next = "bailey prove " + c.ID
	}
	for r := range 5 {
		s.Scopes.Add(bailey.Rung(r), (i*r*7)%23)
	}
	s.Scopes.Add(s.Rung, 5)
	return s
}

func rungOf(i int) bailey.Rung {
	return [...]bailey.Rung{bailey.RungUnknown, bailey.RungGap, bailey.RungSound, bailey.RungProven, bailey.RungSound, bailey.RungGuarded, bailey.RungProven, bailey.RungGuarded, bailey.RungProven, bailey.RungSound, bailey.RungGap}[(i*i+3*i)%11]
}

func (f *fixture) control(id string) *bailey.Control {
	for _, c := range f.controls {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (f *fixture) Control(ctx context.Context, ask server.Ask, id string) (server.ControlPage, error) {
	c := f.control(id)
	if c == nil {
		return server.ControlPage{}, server.ErrNotFound
	}
	p := server.ControlPage{Standing: f.standing(c), Doc: c.Doc, References: c.Refs, ScopeKind: c.Scope, Unprovable: c.Unprovable, Changes: f.moves(4)}
	for _, r := range c.Rules {
		one := server.RuleInfo{ID: c.RuleID(r), Title: r.Title, Doc: r.Doc, Severity: r.Severity, References: r.Refs, Fixable: r.Fix != nil}
		for _, x := range f.visible(ask, server.FindingFilter{Rule: one.ID}) {
			one.Findings.Add(x.Severity, 1)
		}
		p.Rules = append(p.Rules, one)
	}
	guards, _ := f.Guards(ctx, ask, server.GuardFilter{})
	for _, g := range guards {
		if g.Control == id {
			p.Guards = append(p.Guards, g)
		}
	}
	for _, x := range c.Experiments {
		one, _ := f.Experiment(ctx, ask, id, x.Name)
		p.Experiments = append(p.Experiments, one)
	}
	if p.Rung == bailey.RungGap {
		p.Worst = f.visible(ask, server.FindingFilter{Control: id})
	}
	p.Worst = p.Worst[:min(len(p.Worst), 10)]
	if p.Rung == bailey.RungGap {
		p.Proof = &server.Proof{Held: 1009, Tried: 1024, At: f.now, Bound: 1, Broken: []string{"privileged pods: ephemeral container: admitted " + hostile}}
	}
	p.ScopesLow, _, _ = f.Scopes(ctx, ask, id, server.ScopeFilter{Rung: "low", Limit: 12})
	p.ScopesLowMore, p.ChangesMore = len(p.ScopesLow) == 12, true
	return p, nil
}

// visible gives the findings that a filter and the asker's rights let through.
func (f *fixture) visible(ask server.Ask, filter server.FindingFilter) []server.Finding {
	var out []server.Finding
	for _, x := range f.found {
		there, accepted := x.Gone == nil, x.Waiver != nil || x.Baseline
		state := cmp.Or(filter.State, "open")
		if !ask.Sees.Has(x.Object.Namespace) || state == "open" && (!there || accepted) || state == "gone" && there || state == "waived" && !(there && accepted) ||
			filter.Control != "" && x.Control != filter.Control || filter.Rule != "" && x.Rule != filter.Rule || filter.Kind != "" && x.Object.Kind != filter.Kind ||
			filter.Namespace != "" && x.Object.Namespace != filter.Namespace || filter.Name != "" && x.Object.Name != filter.Name || x.Severity < filter.Least ||
			!strings.Contains(x.Message+x.Object.Name+x.Rule, filter.Text) || x.Opened.Before(filter.Since) {
			continue
		}
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b server.Finding) int {
		switch filter.Order {
		case "newest":
			return b.Opened.Compare(a.Opened)
		case "object":
			return strings.Compare(a.Object.Namespace+"/"+a.Object.Name, b.Object.Namespace+"/"+b.Object.Name)
		}
		return cmp.Compare(b.Severity, a.Severity)
	})
	return out
}

func (f *fixture) Findings(_ context.Context, ask server.Ask, filter server.FindingFilter) (server.FindingPage, error) {
	if f.fails != nil {
		return server.FindingPage{}, f.fails
	}
	all := f.visible(ask, filter)
	time.Sleep(f.slow)
	p := server.FindingPage{More: f.more}
	for _, x := range all {
		p.Total.Add(x.Severity, 1)
	}
	var err error
	p.Findings, p.Next, err = piece(all, filter.Cursor, min(cmp.Or(filter.Limit, 50), 100))
	return p, err
}

// piece cuts a page out of a list.
func piece[T any](all []T, cursor string, limit int) ([]T, string, error) {
	from := 0
	if cursor != "" {
		n, err := strconv.Atoi(cursor)
		if err != nil || n > len(all) {
			return nil, "", errors.Join(server.ErrBadInput, fmt.Errorf("no cursor %q", cursor))
		}
		from = n
	}
	to := min(from+limit, len(all))
	if to == len(all) {
		return all[from:], "", nil
	}
	return all[from:to], strconv.Itoa(to), nil
}

func (f *fixture) Finding(_ context.Context, ask server.Ask, id string) (server.Finding, error) {
	for _, x := range f.found {
		if x.ID == id && ask.Sees.Has(x.Object.Namespace) {
			return x, nil
		}
	}
	return server.Finding{}, server.ErrNotFound
}

func (f *fixture) Workloads(_ context.Context, ask server.Ask, filter server.WorkloadFilter) (server.WorkloadList, error) {
	var all []server.WorkloadRow
	for i := range 400 {
		o := f.workload(i)
		if !ask.Sees.Has(o.Namespace) || filter.Namespace != "" && o.Namespace != filter.Namespace || filter.Kind != "" && o.Kind != filter.Kind || !strings.Contains(o.Name, filter.Text) {
			continue
		}
		all = append(all, server.WorkloadRow{Object: o, Findings: server.Counts{Critical: (i + 1) % 3, High: i % 7, Medium: i % 5 * 3, Low: i % 4},
			Rungs: server.Rungs{Gap: i % 4, Unknown: i % 3, Sound: 4, Guarded: 3 + i%2, Proven: i % 5}})
	}
	if filter.Order == "findings" {
		slices.SortStableFunc(all, func(a, b server.WorkloadRow) int { return worst(a.Findings, b.Findings) })
	}
	list, next, err := piece(all, filter.Cursor, cmp.Or(filter.Limit, 50))
	return server.WorkloadList{Workloads: list, Next: next}, err
}

// worst orders counts as the store does.
func worst(a, b server.Counts) int {
	return cmp.Or(b.Critical-a.Critical, b.High-a.High, b.Total()-a.Total())
}

// Lacks has nothing of pods: they were judged as parts of others.
func (f *fixture) Lacks(_ context.Context, _ server.Ask, refs []bailey.Ref) (map[bailey.Ref]bool, error) {
	lacking := map[bailey.Ref]bool{}
	for _, ref := range refs {
		if ref.Kind == bailey.KindPod {
			lacking[ref] = true
		}
	}
	return lacking, nil
}

func (f *fixture) Workload(_ context.Context, ask server.Ask, ref bailey.Ref) (server.WorkloadPage, error) {
	if !ask.Sees.Has(ref.Namespace) || ref.Name == "gone" {
		return server.WorkloadPage{}, server.ErrNotFound
	}
	p := server.WorkloadPage{Object: server.Object{APIVersion: "apps/v1", Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}, Changes: f.moves(3)}
	for _, state := range []string{"open", "waived"} {
		for _, x := range f.visible(ask, server.FindingFilter{State: state, Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name}) {
			p.Findings = append(p.Findings, x)
			if x.Waiver == nil && !x.Baseline {
				p.Counts.Add(x.Severity, 1)
			}
		}
	}
	p.Command = "kubectl get " + strings.ToLower(string(ref.Kind)) + "/" + ref.Name + " -n " + ref.Namespace + " -o yaml"
	p.Alerts, _, _ = f.Alerts(context.Background(), ask, server.AlertFilter{State: "open"})
	p.Alerts = p.Alerts[:4]
	guards, _ := f.Guards(context.Background(), ask, server.GuardFilter{})
	p.Guards = guards[:min(7, len(guards))]
	for i, c := range f.controls {
		if c.Scope == bailey.ScopeWorkload {
			s := server.ScopeStanding{Control: c.ID, Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: ref}, Rung: rungOf(i)}
			if s.Rung == bailey.RungGap {
				s.Findings = 3
				if i%2 == 0 {
					until := f.now.Add(20 * 24 * time.Hour)
					s.WaivedUntil = &until
				}
			} else if s.Rung == bailey.RungProven {
				s.Proof = &server.Proof{Held: 64, Tried: 64}
			}
			p.Standings = append(p.Standings, s)
		}
	}
	p.Evidence, _, _ = f.Evidence(context.Background(), ask, server.EvidenceFilter{Control: "compute/pod-security", Experiment: f.control("compute/pod-security").Experiments[0].Name, Limit: 3})
	return p, nil
}

func (f *fixture) NamespaceRows(_ context.Context, ask server.Ask, filter server.NamespaceFilter) ([]server.NamespaceRow, int, error) {
	var rows []server.NamespaceRow
	for i, name := range f.namespaces {
		if !ask.Sees.Has(name) {
			continue
		}
		r := server.NamespaceRow{Name: name, Findings: server.Counts{Critical: i % 3, High: i % 11, Medium: 7 * (i % 6), Low: i % 2}, Controls: map[string]bailey.Rung{}}
		for j, c := range f.controls {
			if c.Scope == bailey.ScopeNamespace || c.Scope == bailey.ScopeWorkload {
				rung := rungOf(i*3 + j)
				if (i+j)%9 != 0 {
					r.Controls[c.ID] = rung
					r.Rungs.Add(rung, 1)
				}
			}
		}
		rows = append(rows, r)
	}
	return filter.Of(rows)
}

// propose plans what the experiment needs of the fixture: many places, by several ways.
func (f *fixture) propose(_ context.Context, control, name string) (server.Proposal, error) {
	x, err := f.Experiment(context.Background(), server.Ask{}, control, name)
	if f.planning {
		return server.Proposal{}, server.ErrPlanning
	}
	if err != nil || f.firstLook {
		return server.Proposal{}, cmp.Or(err, server.ErrUnavailable)
	}
	p := server.Proposal{Control: control, Experiment: name, Danger: x.Danger, At: f.now.Add(-time.Minute), Scopes: 120, Probes: 4218, Repeat: x.Danger.Tries(), Requests: 135_012, Rate: prove.DefaultRate, Limit: prove.DefaultLimit}
	if x.Danger == bailey.DangerIsolated && f.asksOnly {
		p.Refused = "makes objects of its own: --isolated allows it"
	}
	for i, way := range []string{"create pod (privileged container)", "ephemeral container", "update of a Deployment's template " + hostile} {
		p.Paths = append(p.Paths, server.ProposedPath{Path: way, Probes: 1406 - i, Examples: []string{"privileged container", "host network, in an init container", "hostPath volume"}})
	}
	for i := range 20 {
		p.Where = append(p.Where, bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: f.namespaces[i]}})
	}
	p.Later = []string{"namespace team-dill-27: this scope and 31 more have their turn later: 150 of 182 are tried every 7 days"}
	p.Rights = []prove.Grant{{Path: "/readyz", Verbs: []string{"get"}}, {Resource: "pods", Verbs: []string{"create"}}, {Group: "apps", Resource: "deployments", Namespace: "shop", Names: []string{"web"}, Verbs: []string{"get", "update"}}}
	return p, nil
}
