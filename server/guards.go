package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/enforce/apply"
	"github.com/baileyhq/bailey/store"
)

// Planner keeps how far guards are in place, whether they have drifted, and what they would
// refuse. It changes nothing in the cluster.
type Planner struct {
	Store    *store.Store
	Loop     *Loop
	News     *News
	Controls []*bailey.Control
	// Applied gives what was applied to a cluster from here.
	Applied func(cluster string) ([]apply.Record, error)
	// Show shows each object of some kinds whole, as it is in the cluster, and keeps none. It
	// gives the kinds that it may not read.
	Show func(ctx context.Context, kinds []bailey.Kind, show func(apiVersion, kind string, object any) error) (unseen []string, err error)
	Log  *slog.Logger
	Now  func() time.Time

	mu      sync.Mutex
	impacts map[string]*policyImpact // by the policy's name

	kept map[guardKey]guardSum // nil if not known
	of   plannedOf             // what was kept last is made of
}

// plannedGuard is how far a guard is for one scope; the document is not encoded yet.
type plannedGuard struct {
	store.Guard
	doc GuardDoc
}

type guardKey struct {
	control, guard string
	scope          bailey.Scope
}

const (
	// planSoon is the least time between two plans, and planLate the longest: what was applied
	// from here is in files, which nothing tells of.
	planSoon = time.Second
	planLate = 10 * time.Second
	// impactSoon is the least time between two looks at every object that policies are about.
	impactSoon = time.Minute
	// examplesMost bounds the objects that an impact names.
	examplesMost = 10
	// changesMost bounds the changes that are named for one guard and scope.
	changesMost = 20
)

// Run plans until ctx ends. Like the report, a plan rests nine times as long as it took.
func (p *Planner) Run(ctx context.Context) error {
	if err := p.awaitKept(ctx); err != nil {
		return err
	}
	var judging sync.WaitGroup
	defer judging.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for first := true; ; first = false {
		begun := time.Now()
		if err := p.plan(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, store.ErrFenced) {
				return err
			}
			p.kept = nil // what is kept is not known
			p.Log.Error("how far guards are in place could not be told or kept, and will be tried again", "error", err)
		}
		if first { // not beside it: each makes the guards of the whole cluster
			judging.Go(func() { p.judgeAgain(ctx) })
		}
		cost := time.Since(begun)
		if !pause(ctx, max(planSoon, restShare*cost)) {
			return ctx.Err()
		}
		if err := p.wait(ctx, planLate); err != nil {
			return err
		}
	}
}

// awaitKept waits until a report is kept: the memory that writing the first takes, and that of a plan,
// is not needed at once.
func (p *Planner) awaitKept(ctx context.Context) error {
	for !p.Loop.Kept() {
		if err := p.wait(ctx, planSoon); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for the next report, or so long.
func (p *Planner) wait(ctx context.Context, most time.Duration) error {
	_, _, more := p.News.After(p.News.Last())
	select {
	case <-more:
	case <-time.After(most):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// plan tells how far each guard is, and keeps what is another than before.
func (p *Planner) plan(ctx context.Context) error {
	sight, s, uid := p.Loop.Sight(), p.Loop.Snapshot(), p.Loop.Cluster()
	if s == nil || uid == "" || sight.Lost != nil {
		return nil
	}
	records, err := p.Applied(uid)
	if err != nil {
		return err
	}
	p.mu.Lock()
	impacts := p.impacts
	p.mu.Unlock()
	// Nothing else makes another plan, and a plan of a large cluster is dear.
	of := plannedOf{sight.Changed, records, impacts}
	if p.kept != nil && p.of.same(&of) {
		return nil
	}
	plan, err := enforce.Make(s, p.Controls)
	if err != nil {
		return err
	}
	drifted := map[bailey.Ref]string{}
	for i := range records {
		what, err := enforce.Departures(s, records[i].Object, records[i].Applied)
		if err != nil {
			return err
		}
		if what != "" {
			drifted[records[i].Object] = what
		}
	}
	if err := p.keep(ctx, uid, standings(s, plan, drifted, impacts)); err != nil {
		return err
	}
	p.of = of
	return nil
}

// plannedOf is what a plan is made of: the world, by when it changed last, what was applied, and
// what policies would refuse.
type plannedOf struct {
	changed time.Time
	records []apply.Record
	impacts map[string]*policyImpact
}

func (o *plannedOf) same(other *plannedOf) bool {
	return o.changed.Equal(other.changed) && reflect.DeepEqual(o.records, other.records) && maps.Equal(o.impacts, other.impacts)
}

// keep keeps what differs from what is kept.
func (p *Planner) keep(ctx context.Context, uid string, all []plannedGuard) error {
	now := make(map[guardKey]guardSum, len(all))
	var changed []store.Guard
	gone := p.kept == nil
	for i := range all {
		g := &all[i]
		k := guardKey{g.Control, g.Name, g.Scope}
		now[k] = g.says()
		if old, known := p.kept[k]; !known || old != now[k] {
			changed = append(changed, g.encoded())
		}
	}
	for k := range p.kept {
		if _, stays := now[k]; !stays {
			gone = true
		}
	}
	var err error
	switch {
	case gone:
		whole := make([]store.Guard, 0, len(all))
		for i := range all {
			whole = append(whole, all[i].encoded())
		}
		err = p.Store.PutGuards(ctx, uid, p.Now(), whole)
	case len(changed) > 0:
		err = p.Store.Apply(ctx, uid, p.Now(), store.Delta{Guards: changed})
	default:
		return nil
	}
	if err != nil {
		return err
	}
	p.kept = now
	p.News.Tell(Item{Kind: NewsGuards, Data: struct{}{}})
	return nil
}

// guardSum is a hash of what a guard says: there are many thousands of them in a large cluster.
type guardSum [sha256.Size]byte

// says gives the hash of what a guard says, but for when its impact was computed: that alone is no
// news, and would be a change of every guard each minute.
func (g *plannedGuard) says() guardSum {
	undated := GuardDoc{g.doc.Changes, g.doc.Impact.undated()}
	text, _ := json.Marshal([]any{g.Stage, g.Drifted, g.Why, undated}) // texts and numbers can be marshalled
	return sha256.Sum256(text)
}

func (i *GuardImpact) undated() *GuardImpact {
	if i == nil {
		return nil
	}
	undated := *i
	undated.At = time.Time{}
	return &undated
}

func (g *plannedGuard) encoded() store.Guard {
	kept := g.Guard
	if g.doc.Impact != nil || len(g.doc.Changes) > 0 {
		kept.Doc, _ = json.Marshal(g.doc) // texts and numbers can be marshalled
	}
	return kept
}

// standings gives how far each guard is, for each scope.
func standings(s *bailey.Snapshot, plan *enforce.Plan, drifted map[bailey.Ref]string, impacts map[string]*policyImpact) []plannedGuard {
	type key struct {
		guard *bailey.Guard
		scope bailey.Ref
	}
	changes := map[key][]*enforce.Change{}
	for i := range plan.Changes {
		c := &plan.Changes[i]
		for _, g := range c.For {
			for _, scope := range g.Scopes {
				changes[key{g.Guard, scope}] = append(changes[key{g.Guard, scope}], c)
			}
		}
	}
	settings := map[*bailey.Guard][]*enforce.Setting{}
	for i := range plan.Settings {
		settings[plan.Settings[i].Guard] = append(settings[plan.Settings[i].Guard], &plan.Settings[i])
	}
	all := make([]plannedGuard, 0, len(plan.Standings))
	for _, st := range plan.Standings {
		g := plannedGuard{Guard: store.Guard{Control: st.Control.ID, Name: st.Guard.Name, Scope: bailey.Scope{Kind: st.Guard.Scope, Object: st.Scope}, Stage: string(enforce.StagePlaced), Why: st.Why}}
		doc := &g.doc
		if !st.InPlace {
			asked := changes[key{st.Guard, st.Scope}]
			g.Stage = string(reached(s, asked))
			for _, c := range asked {
				doc.name(describe(c))
				if what := drifted[c.Object]; what != "" {
					g.Drifted, g.Why = true, what
				}
				doc.Impact = doc.Impact.with(c, g.Scope, impacts)
			}
			for _, setting := range settings[st.Guard] {
				doc.name(fmt.Sprintf("%s %s", setting.Component, setting.Name()))
			}
			for _, m := range st.Missing[:min(1, len(st.Missing))] {
				g.Why = "not known: " + missingText(m)
			}
		}
		all = append(all, g)
	}
	return all
}

func (d *GuardDoc) name(change string) {
	if len(d.Changes) < changesMost && !slices.Contains(d.Changes, change) {
		d.Changes = append(d.Changes, change)
	}
}

func describe(c *enforce.Change) string {
	if c.Creates {
		return "create " + c.Object.String()
	}
	if c.Managed != "" {
		return "change " + c.Object.String() + " at its source: " + c.Managed + " owns it"
	}
	return "change " + c.Object.String()
}

// reached is how far the least of what a guard still asks for has come.
func reached(s *bailey.Snapshot, asked []*enforce.Change) enforce.Stage {
	order := []enforce.Stage{enforce.StageAbsent, enforce.StageAudit, enforce.StageWarn, enforce.StageDeny}
	least := len(order) - 1
	for _, c := range asked {
		least = min(least, slices.Index(order, c.Reached(s)))
	}
	if len(asked) == 0 {
		return enforce.StageAbsent
	}
	return order[least]
}

// policyImpact is what a policy would do to what is there, by namespace: of a namespace's guard
// nobody learns what is in another.
type policyImpact struct {
	at                       time.Time
	judged, refused, altered map[string]int
	examples                 map[string][]Object // the first of each
	unknown                  string
}

// with adds what the policy of a change would do within the scope.
func (i *GuardImpact) with(c *enforce.Change, scope bailey.Scope, impacts map[string]*policyImpact) *GuardImpact {
	if c.Object.Kind != bailey.KindValidatingAdmissionPolicyBinding && c.Object.Kind != bailey.KindMutatingAdmissionPolicyBinding {
		return i
	}
	of := impacts[c.Object.Name]
	if of == nil {
		return i
	}
	if i == nil {
		i = &GuardImpact{At: of.at, Unknown: of.unknown}
	}
	within := []string{scope.Object.Name}
	if scope.Kind != bailey.ScopeNamespace {
		within = slices.Sorted(maps.Keys(of.judged))
	}
	judged := 0
	for _, ns := range within {
		judged += of.judged[ns]
		i.Refused += of.refused[ns]
		i.Altered += of.altered[ns]
		i.Examples = append(i.Examples, of.examples[ns][:min(examplesMost-len(i.Examples), len(of.examples[ns]))]...)
	}
	i.Judged = max(i.Judged, judged)
	return i
}

// judgeAgain tells what the planned policies would refuse of what is there, whenever that changed:
// it reads all of it from the API server.
func (p *Planner) judgeAgain(ctx context.Context) {
	var done time.Time
	for {
		changed := p.Loop.Sight().Changed
		begun := time.Now()
		if !changed.Equal(done) {
			if err := p.judge(ctx); err == nil {
				done = changed
			} else if ctx.Err() == nil {
				p.Log.Error("what guards would refuse could not be told, and will be tried again", "error", err)
			}
			if !pause(ctx, max(impactSoon, restShare*time.Since(begun))) {
				return
			}
		} else if p.wait(ctx, planLate) != nil {
			return
		}
	}
}

func (p *Planner) judge(ctx context.Context) error {
	s := p.Loop.Snapshot()
	if s == nil {
		return nil
	}
	plan, err := enforce.Make(s, p.Controls)
	if err != nil {
		return err
	}
	judge, err := enforce.NewJudge(s, plan)
	if err != nil {
		return err
	}
	impacts := map[string]*policyImpact{}
	if judge != nil {
		unseen, err := p.Show(ctx, judge.Kinds(s), func(apiVersion, kind string, object any) error { return judge.Look(ctx, apiVersion, kind, object) })
		if err != nil {
			return err
		}
		for name, e := range judge.Impact() {
			i := impactOf(p.Now().UTC(), e)
			if len(unseen) > 0 && i.unknown == "" {
				i.unknown = "not all could be read: " + strings.Join(unseen, ", ")
			}
			impacts[name] = i
		}
	}
	p.mu.Lock()
	p.impacts = impacts
	p.mu.Unlock()
	return nil
}

// impactOf is what is kept of an effect.
func impactOf(at time.Time, e *enforce.Effect) *policyImpact {
	i := &policyImpact{at: at, judged: e.JudgedIn, refused: map[string]int{}, altered: map[string]int{}, examples: map[string][]Object{}, unknown: e.Unknown()}
	for _, r := range e.Refused {
		ns := r.Object.Namespace
		if i.refused[ns]++; i.refused[ns] <= examplesMost {
			i.examples[ns] = append(i.examples[ns], objectOf(r.Object, ""))
		}
	}
	for _, a := range e.Altered {
		i.altered[a.Object.Namespace]++
	}
	return i
}
