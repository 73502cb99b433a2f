package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Desk answers questions about clusters out of the store.
type Desk struct {
	o DeskOptions
	// rules are the controls' rules by their IDs.
	rules    map[string]*bailey.Rule
	controls map[string]*bailey.Control
	// Deeds keeps who did what.
	Deeds *Deeds
}

// DeskOptions are what a Desk answers from.
type DeskOptions struct {
	Store    *store.Store
	Controls []*bailey.Control
	// Own gives the UID of the cluster that this server watches; empty while it is not known,
	// and where it watches none.
	Own func() string
	// Sight says how current what is kept of the own cluster is, and Namespaces lists its namespaces.
	Sight      func() Sight
	Namespaces func() []string
	// Files tells that files are watched in the place of a cluster.
	Files bool
	// Configured are the waivers of the configuration's file.
	Configured func() []bailey.Waiver
	// Valid says what is wrong with a waiver.
	Valid func(bailey.Waiver) error
	// Changed is called when waivers changed, so that verdicts follow.
	Changed func(context.Context)
	Log     *slog.Logger
	Now     func() time.Time
}

// NewDesk makes a desk.
func NewDesk(o DeskOptions) *Desk {
	d := &Desk{o: o, rules: map[string]*bailey.Rule{}, controls: map[string]*bailey.Control{}, Deeds: &Deeds{Store: o.Store, Log: o.Log, Now: o.Now}}
	for _, c := range o.Controls {
		d.controls[c.ID] = c
		for _, r := range c.Rules {
			d.rules[c.RuleID(r)] = r
		}
	}
	return d
}

// Own is the UID of the cluster that this server watches; empty if none is known.
func (d *Desk) Own() string { return d.o.Own() }

// Sight says how current what is kept of the own cluster is.
func (d *Desk) Sight() Sight { return d.o.Sight() }

// Namespaces lists the namespaces of the own cluster.
func (d *Desk) Namespaces() []string { return d.o.Namespaces() }

// ErrNoCluster tells that no cluster was seen yet.
var ErrNoCluster = fmt.Errorf("no cluster was seen yet: %w", ErrNotFound)

// cluster gives the UID of the cluster that is asked about.
func (d *Desk) cluster(a Ask) (string, error) {
	if a.Cluster != "" {
		return a.Cluster, nil
	}
	if own := d.o.Own(); own != "" {
		return own, nil
	}
	return "", ErrNoCluster
}

func access(a Ask) store.Access {
	if a.Sees.All {
		return store.Everything()
	}
	return store.Only(a.Sees.Names...)
}

// Clusters lists those of which something is kept, and may be seen.
func (d *Desk) Clusters(ctx context.Context, a Ask) ([]ClusterInfo, error) {
	shown, err := d.shown(ctx, a)
	if err != nil {
		return nil, err
	}
	var all []ClusterInfo
	for i := range shown {
		all = append(all, d.infoOf(&shown[i]))
	}
	return all, nil
}

// SightOf says how current what is kept of the cluster is that is asked about.
func (d *Desk) SightOf(ctx context.Context, a Ask) (Sight, error) {
	if a.Cluster == "" || a.Cluster == d.o.Own() {
		return d.sight(a), nil
	}
	kept, err := d.o.Store.Cluster(ctx, a.Cluster)
	if err != nil {
		return Sight{}, err
	}
	return d.sightOf(&kept), nil
}

// sight says how current what is kept of the own cluster is, as far as that is theirs to know who ask.
func (d *Desk) sight(a Ask) Sight {
	return d.o.Sight().within(a.Sees)
}

// sightOf says how current what is kept of a cluster is that is not the own one.
func (d *Desk) sightOf(c *store.Cluster) Sight {
	s := Sight{Ready: !c.Judged.IsZero(), Changed: c.Heard}
	if late(c.Heard, d.o.Now(), heardLate) {
		s.Lost, s.Why = &c.Heard, "nothing was pushed since then"
	}
	return s
}

// watched fails for a cluster that is watched elsewhere: what is done here has no effect there.
func (d *Desk) watched(uid string) error {
	if uid != d.o.Own() {
		return badInput(errors.New("this cluster is watched by another server, which pushes what it finds: waivers belong there"))
	}
	return nil
}

// overviewChanges, overviewFirst and overviewDays bound the lists of the overview.
const (
	overviewChanges = 20
	overviewFirst   = 5
	overviewDays    = 30
)

// Overview is the first page.
func (d *Desk) Overview(ctx context.Context, a Ask) (Overview, error) {
	var o Overview
	uid, err := d.cluster(a)
	if err != nil {
		return o, err
	}
	kept, err := d.o.Store.Cluster(ctx, uid)
	if err != nil {
		return o, err
	}
	o.Cluster = ClusterInfo{UID: kept.UID, Name: kept.Name, Heard: kept.Heard, Own: uid == d.o.Own()}
	if o.Cluster.Own {
		o.Sight = d.sight(a)
	} else {
		o.Sight = d.sightOf(&kept)
	}
	standings, _, err := d.standings(ctx, a, uid)
	if err != nil {
		return o, err
	}
	for _, s := range standings {
		area := d.controls[s.Control].Area()
		if n := len(o.Lanes); n == 0 || o.Lanes[n-1].Name != area {
			o.Lanes = append(o.Lanes, Lane{Name: area, Phase: phaseOf(area)})
		}
		lane := &o.Lanes[len(o.Lanes)-1]
		lane.Standings = append(lane.Standings, s)
		o.Rungs.Add(s.Rung, 1)
		o.Seen += s.Seen
		o.Needed += s.Needed
		for _, m := range s.Missing {
			if len(o.Missing) < missingShown && !slices.Contains(o.Missing, m) {
				o.Missing = append(o.Missing, m)
			}
		}
		addCounts(&o.Counts, s.Findings)
	}
	if o.Changed, _, err = d.changes(ctx, a, store.RungQuery{Cluster: uid, Since: d.o.Now().Add(-24 * time.Hour), Limit: overviewChanges}); err != nil {
		return o, err
	}
	if o.First, err = d.first(ctx, a, uid); err != nil {
		return o, err
	}
	o.Proofs, err = d.days(ctx, a, uid)
	return o, err
}

// phaseOf is the phase of the life cycle that an area belongs to.
func phaseOf(area string) string {
	switch area {
	case "develop", "distribute", "deploy":
		return area
	}
	return "runtime"
}

// missingShown bounds how many missing facts are named.
const missingShown = 10

// standings gives where each control stands: for the cluster, or for whoever sees only some
// namespaces as low as it stands in any of them, and the counts of findings by rule.
func (d *Desk) standings(ctx context.Context, a Ask, uid string) ([]Standing, []store.Count, error) {
	acc := access(a)
	matrix, err := d.o.Store.Matrix(ctx, acc, uid)
	if err != nil {
		return nil, nil, err
	}
	counts, err := d.o.Store.Counts(ctx, acc, uid)
	if err != nil {
		return nil, nil, err
	}
	byControl := map[string]*Standing{}
	all := make([]Standing, 0, len(d.o.Controls))
	for _, c := range d.o.Controls {
		all = append(all, Standing{Control: c.ID, Asks: c.Asks, Rung: bailey.RungUnknown})
		byControl[c.ID] = &all[len(all)-1]
	}
	lowest := map[string]bailey.Rung{}
	for _, m := range matrix {
		s := byControl[m.Control]
		if s == nil || m.Scope == bailey.ScopeCluster {
			continue
		}
		s.Scopes.Add(m.Rung, m.Verdicts)
		if low, known := lowest[m.Control]; !known || m.Rung < low {
			lowest[m.Control] = m.Rung
		}
	}
	for _, n := range counts {
		if s := byControl[n.Control]; s != nil {
			s.Findings.Add(n.Severity, n.Open-n.Waived)
		}
	}
	if !a.Sees.All {
		for id, low := range lowest {
			byControl[id].Rung = low
		}
		return all, counts, nil
	}
	page, err := d.o.Store.Verdicts(ctx, store.VerdictQuery{Cluster: uid, Access: acc, Scope: bailey.ScopeCluster, Limit: 1000})
	if err != nil {
		return nil, nil, err
	}
	for i := range page.Items {
		v := &page.Items[i]
		if s := byControl[v.Control]; s != nil {
			s.take(v)
		}
	}
	return all, counts, nil
}

// take fills in what a verdict says.
func (s *Standing) take(v *store.Verdict) {
	s.Rung, s.Since, s.Next, s.Proof = v.Rung, v.Since, v.Next, proofOf(v.Proof)
	s.Seen, s.Needed = v.Coverage.Seen, v.Coverage.Needed
	if !v.WaivedUntil.IsZero() {
		s.WaivedUntil = &v.WaivedUntil
	}
	for _, m := range v.Coverage.Missing {
		if len(s.Missing) < missingShown {
			s.Missing = append(s.Missing, missingText(m))
		}
	}
}

// missingText says what was not seen, and what to do.
func missingText(m bailey.Missing) string {
	what := m.Kind.Short()
	if m.Name != "" {
		what = bailey.Ref{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}.String()
	} else if m.Namespace != "" {
		what += " in " + m.Namespace
	}
	if m.Detail != "" {
		what += ": " + m.Detail
	}
	if m.Hint != "" {
		what += " (" + m.Hint + ")"
	}
	return what
}

func proofOf(p *bailey.Proof) *Proof {
	if p == nil {
		return nil
	}
	return &Proof{Held: p.Held, Tried: p.Tried, At: p.At, Bound: bailey.FailureBound(p.Least), Broken: p.Broken}
}

func addCounts(to *Counts, c Counts) {
	to.Critical += c.Critical
	to.High += c.High
	to.Medium += c.Medium
	to.Low += c.Low
	to.Info += c.Info
}

// days adds up what evidence of the last days says, by day.
func (d *Desk) days(ctx context.Context, a Ask, uid string) ([]Day, error) {
	today := d.o.Now().UTC().Truncate(24 * time.Hour)
	days := make([]Day, overviewDays)
	for i := range days {
		days[i].Date = today.AddDate(0, 0, i-overviewDays+1).Format(time.DateOnly)
	}
	sums, err := d.o.Store.EvidenceDays(ctx, access(a), uid, today.AddDate(0, 0, 1-overviewDays))
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		if i := int(s.Day.Sub(today)/(24*time.Hour)) + overviewDays - 1; i >= 0 && i < len(days) {
			days[i].Held, days[i].Broken, days[i].Inconclusive = s.Held, s.Broken, s.Inconclusive
		}
	}
	return days, nil
}

// badInput says why something that was sent cannot be taken.
func badInput(err error) error { return errors.Join(ErrBadInput, err) }
