package prove

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
)

// Outcome is what one try showed.
type Outcome string

const (
	// Held: the try was refused by whom the probe names, and its twin accepted.
	Held Outcome = "held"
	// Broken: the platform accepted what it must refuse.
	Broken Outcome = "broken"
	// Inconclusive: somebody else refused, the twin failed too, or no answer came.
	Inconclusive Outcome = "inconclusive"
	// Unclaimed: nobody claims to refuse it, so there is nothing to hold to.
	Unclaimed Outcome = "unclaimed"
	// Untold: it is refused, but so is the same without the forbidden thing. Whether
	// anybody claims to refuse the thing itself cannot be told.
	Untold Outcome = "untold"
)

// givenTries is how often a claim is asked for before it counts as not made. A
// control that fails one time in four hides three times running in 1 probe of 64.
const givenTries = 3

// tryAgainEvery is how often a try is made for which the platform has time to refuse it.
const tryAgainEvery = time.Second

// trial is one probe of a unit while it is tried.
type trial struct {
	index  int
	probe  *bailey.Probe
	bound  bindings
	twin   bailey.Step
	twinID string // equal for trials whose twins are the same
	try    bailey.Step
	result *Result
	owed   *debt // nil where nothing must be put back
	over   bool
	// listeners are those that the setup started.
	listeners []*bailey.ProbePod
	since     time.Time // when it was first tried
}

// rounds tries each probe once in a round, and as many rounds as asked: what
// fails now and then has more time to do so than in a burst. Trials whose twins
// are the same share one twin a round.
func (r *run) rounds(ctx context.Context, record *Record) {
	var trials []*trial
	for i := range record.Unit.Probes {
		t := &trial{index: i, probe: &record.Unit.Probes[i], bound: maps.Clone(r.base), result: &record.Results[i]}
		if t = r.prepare(ctx, record, t); t != nil {
			trials = append(trials, t)
		}
	}
	for round := range r.repeat(record.Unit) {
		twins := map[string]answer{}
		for _, t := range trials {
			if ctx.Err() != nil {
				return
			}
			r.step(record.Unit)
			if t.over {
				continue
			}
			twin, asked := twins[t.twinID]
			if !asked {
				twin = r.perform(ctx, record, t.index, "twin", round, &t.twin)
				twins[t.twinID] = twin
			}
			r.judge(ctx, record, t, round, twin)
		}
	}
}

// isolated tries one probe after the other, each as often as asked, and removes
// what it made. Neighbours that are set up alike share what the setup made.
func (r *run) isolated(ctx context.Context, record *Record) {
	probes := record.Unit.Probes
	for from := 0; from < len(probes) && ctx.Err() == nil; {
		to := from + 1
		for to < len(probes) && sharesSetup(&probes[from], &probes[to]) {
			to++
		}
		r.isolatedProbes(ctx, record, from, to)
		from = to
	}
}

// sharesSetup reports whether two probes can be tried on the same objects: they
// are set up alike, and neither changes for good what was made.
func sharesSetup(a, b *bailey.Probe) bool {
	for _, p := range []*bailey.Probe{a, b} {
		if len(p.Setup) == 0 || p.Given != nil || len(p.Undo) > 0 || changes(&p.Twin) || changes(&p.Try) {
			return false
		}
	}
	one, err := json.Marshal(a.Setup)
	other, err2 := json.Marshal(b.Setup)
	return err == nil && err2 == nil && string(one) == string(other)
}

// changes tells a step that alters what was there before it.
func changes(step *bailey.Step) bool {
	if step.Request == nil || !step.Request.Real {
		return false
	}
	switch step.Request.Verb {
	case "update", "patch", "delete":
		return true
	}
	return false
}

// isolatedProbes tries the probes from one index up to another, which share
// their setup, each once in a round.
func (r *run) isolatedProbes(ctx context.Context, record *Record, from, to int) {
	mark := r.objects.mark()
	first := &trial{index: from, probe: &record.Unit.Probes[from], bound: maps.Clone(r.base), result: &record.Results[from]}
	defer func() {
		r.undo(ctx, record, first)
		if err := r.objects.sweep(ctx, mark); err != nil {
			record.LeftBehind = append(record.LeftBehind, err.Error())
		}
		r.clients.forget()
	}()
	prepared := r.prepare(ctx, record, first)
	trials := []*trial{prepared}
	for i := from + 1; i < to; i++ {
		trials = append(trials, r.joined(record, i, from, prepared))
	}
	each := r.oneByOne
	if inPods(record.Unit.Probes[from:to]) {
		each = r.together
	}
	for round := range r.repeat(record.Unit) {
		if ctx.Err() != nil {
			return
		}
		each(ctx, record, round, trials)
	}
}

// oneByOne tries each trial once, and removes between them what they made.
func (r *run) oneByOne(ctx context.Context, record *Record, round int, trials []*trial) {
	for _, t := range trials {
		if ctx.Err() != nil {
			return
		}
		r.step(record.Unit)
		if t == nil || t.over {
			continue
		}
		between := r.objects.mark()
		r.judge(ctx, record, t, round, r.perform(ctx, record, t.index, "twin", round, &t.twin))
		// What a try made by being accepted must not be there at the next.
		if err := r.objects.sweep(ctx, between); err != nil {
			record.LeftBehind = append(record.LeftBehind, err.Error())
		}
	}
}

// joined gives the trial of a probe that uses what an earlier one set up.
func (r *run) joined(record *Record, i, from int, first *trial) *trial {
	t := &trial{index: i, probe: &record.Unit.Probes[i], result: &record.Results[i]}
	if first == nil {
		t.inconclusive(strings.Join(record.Results[from].Why, "; "))
		return nil
	}
	t.bound, t.listeners = maps.Clone(first.bound), first.listeners
	return t.ready()
}

// prepare asks whether the platform claims anything, and sets the probe up. It
// gives nil where there is nothing to try.
func (r *run) prepare(ctx context.Context, record *Record, t *trial) *trial {
	if !r.claimed(ctx, record, t) {
		return nil
	}
	if len(t.probe.Undo) > 0 {
		if err := r.owe(record, t); err != nil {
			t.inconclusive(err.Error())
			return nil
		}
	}
	for k := 0; k < len(t.probe.Setup); {
		to := k + 1
		for listens(t.probe.Setup[k]) && to < len(t.probe.Setup) && listens(t.probe.Setup[to]) {
			to++ // listeners need not wait for each other
		}
		if err := r.setUp(ctx, record, t, k, to); err != nil {
			t.inconclusive(err.Error())
			return nil
		}
		k = to
	}
	return t.ready()
}

// claimed asks whether the platform claims to refuse what the probe is about. Where
// it is not so, or cannot be told, the result says it.
func (r *run) claimed(ctx context.Context, record *Record, t *trial) bool {
	if t.probe.Given == nil {
		return true
	}
	ask := func(role string, asked *bailey.Step, until func(answer) bool) (a answer, step bailey.Step, ok bool) {
		step, err := expand(*asked, t.bound)
		if err != nil {
			t.inconclusive(err.Error())
			return a, step, false
		}
		for k := range givenTries {
			if a = r.perform(ctx, record, t.index, role, k, &step); until(a) {
				break
			}
		}
		return a, step, true
	}
	a, step, ok := ask("given", t.probe.Given, func(a answer) bool { return !a.accepted })
	switch {
	case !ok:
		return false
	case a.accepted:
		t.result.Unclaimed = true
		return false
	case !refusedAs(a, &step):
		t.inconclusive("what the platform claims could not be seen: " + a.String())
		return false
	case t.probe.GivenTwin == nil:
		return true
	}
	twin, _, ok := ask("given twin", t.probe.GivenTwin, func(a answer) bool { return a.accepted })
	switch {
	case !ok:
		return false
	case twin.accepted:
		return true
	case refusedAs(twin, &step):
		t.result.Untold = true
	default:
		t.inconclusive("what the platform claims could not be seen: " + twin.String())
	}
	return false
}

func listens(step bailey.Step) bool { return step.Task != nil && step.Task.Listen > 0 }

// setUp does the steps of the setup from one index up to another, at the same time.
func (r *run) setUp(ctx context.Context, record *Record, t *trial, from, to int) error {
	steps, answers := make([]bailey.Step, to-from), make([]answer, to-from)
	for k := range steps {
		var err error
		if steps[k], err = expand(t.probe.Setup[from+k], t.bound); err != nil {
			return err
		}
	}
	var all sync.WaitGroup
	for k := range steps {
		step := &steps[k]
		all.Go(func() {
			answers[k], _ = poll(ctx, step.Within, pollEvery,
				func() answer { return r.perform(ctx, record, t.index, "setup", from+k, step) },
				func(a answer) bool { return a.accepted })
		})
	}
	all.Wait()
	for k, a := range answers {
		if !a.accepted {
			return fmt.Errorf("the setup failed at %s: %s", a.said, a)
		}
		if err := t.bound.bind(&steps[k], a); err != nil {
			return fmt.Errorf("the setup failed at %s: %w", a.said, err)
		}
		if listens(steps[k]) {
			t.listeners = append(t.listeners, steps[k].Task.In)
		}
	}
	return nil
}

// ready prepares twin and try, once all that they name is bound.
func (t *trial) ready() *trial {
	var err error
	if t.twin, err = expand(t.probe.Twin, t.bound); err == nil {
		t.try, err = expand(t.probe.Try, t.bound)
	}
	if err != nil {
		t.inconclusive(err.Error())
		return nil
	}
	data, err := json.Marshal(t.twin)
	if err != nil {
		t.inconclusive(err.Error())
		return nil
	}
	t.twinID = string(data)
	return t
}

func (t *trial) inconclusive(why string) {
	t.result.Tried++
	t.result.Inconclusive++
	t.result.note(why)
}

// judge does the try and sets it beside its twin.
func (r *run) judge(ctx context.Context, record *Record, t *trial, round int, twin answer) {
	var try answer
	if twin.accepted {
		try = r.attempt(ctx, record, t, round)
	}
	r.conclude(ctx, t, twin, try)
}

// attempt does the try, again while it may be accepted.
func (r *run) attempt(ctx context.Context, record *Record, t *trial, round int) answer {
	t.begin()
	return r.insist(ctx, record, t, round, r.perform(ctx, record, t.index, "try", round, &t.try))
}

// begin notes when a trial was tried first.
func (t *trial) begin() {
	if t.since.IsZero() {
		t.since = time.Now()
	}
}

// insist asks a try again that was accepted and may be, for a while. A refusal by the
// network of what nobody would have answered shows nothing.
func (r *run) insist(ctx context.Context, record *Record, t *trial, round int, a answer) answer {
	first := &a
	a, _ = poll(ctx, t.try.Within-time.Since(t.since), tryAgainEvery, func() answer {
		if first != nil {
			was := *first
			first = nil
			return was
		}
		return r.perform(ctx, record, t.index, "try", round, &t.try)
	}, func(a answer) bool { return !a.accepted || mended(a, &t.try) })
	if a.refuser == bailey.RefuserNetwork {
		if err := r.listening(ctx, t.listeners); err != nil {
			a.failure = err
		}
	}
	return a
}

// conclude sets the try beside its twin. One acceptance of the forbidden, or one
// refusal of what must be admitted, is an answer: the probe is over.
func (r *run) conclude(ctx context.Context, t *trial, twin, a answer) {
	step := &t.try
	switch {
	case !twin.accepted && (t.probe.Admits || !a.accepted):
		if ctx.Err() == nil {
			t.inconclusive("the allowed twin did not pass: " + twin.String())
		}
	case t.probe.Admits && refusedAs(a, step):
		t.result.Tried++
		t.result.Broken++
		t.result.note(fmt.Sprintf("refused by %s: %s", a.refuser, a.message))
		t.over = true
	case t.probe.Admits && a.accepted, !t.probe.Admits && (refusedAs(a, step) || mended(a, step)):
		t.result.Tried++
		t.result.Held++
		t.over = !a.taken.IsZero() // a copy says the same however often it is read
	case a.accepted && (ctx.Err() == nil || time.Since(t.since) >= step.Within):
		t.result.Tried++
		t.result.Broken++
		t.result.note(brokenBecause(a, step))
		t.over = true
	case ctx.Err() != nil:
		return // cut off, not answered
	case t.probe.Admits:
		t.inconclusive("neither accepted nor refused by " + string(step.Refusers[0]) + ": " + a.String())
	default:
		t.inconclusive(fmt.Sprintf("not refused by %s but: %s", step.Refusers[0], a))
	}
}

func brokenBecause(a answer, step *bailey.Step) string {
	switch {
	case step.Within > 0:
		return fmt.Sprintf("still accepted after %s", step.Within)
	case step.Etcd != nil, step.Origin != nil:
		return a.message
	case step.Review != nil:
		return "the API server's authorizer says " + a.message
	case step.Task != nil:
		return "it worked: " + a.message
	}
	return "the API server accepted it"
}

// perform does a step and records it.
func (r *run) perform(ctx context.Context, record *Record, i int, role string, round int, step *bailey.Step) answer {
	a := r.do(ctx, record.Unit.Experiment.Danger, step)
	r.note(ctx, record, i, role, round, step, a)
	return a
}

// note records what came of a step.
func (r *run) note(ctx context.Context, record *Record, i int, role string, round int, step *bailey.Step, a answer) {
	if ctx.Err() == nil && (step.Request != nil || step.Review != nil || step.Await != nil) {
		r.answered(a) // of the API server alone: an address that is out of reach is no sickness of it
	}
	record.exchange(i, role, round, a)
}
