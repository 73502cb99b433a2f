package prove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/baileyhq/bailey"
)

// inPods reports whether twins and tries are pods that do their task and end: they
// leave nothing that the next could meet, and need not wait for each other. What reads
// the wire would read what the other sends.
func inPods(probes []bailey.Probe) bool {
	ends := func(s *bailey.Step) bool {
		return s.Task != nil && s.Task.In != nil && !s.Task.Lives() && s.Task.Wire == nil
	}
	for i := range probes {
		if !ends(&probes[i].Twin) || !ends(&probes[i].Try) {
			return false
		}
	}
	return true
}

// errand is one step that is done in a pod, with the answer to it.
type errand struct {
	index  int
	role   string
	step   *bailey.Step
	answer answer
}

// together tries all trials once, at the same time: to start a pod takes far longer
// than what it does. Twins that are the same are done once, and steps that want the
// same pod, but for its name, are done in one.
func (r *run) together(ctx context.Context, record *Record, round int, trials []*trial) {
	twins := map[string]*errand{}
	tries := make([]*errand, len(trials))
	var pods [][]*errand
	places := map[string]int{} // in pods, by what the pod is like
	add := func(e *errand) *errand {
		like := *e.step.Task.In
		like.Name = ""
		data, _ := json.Marshal(like) // plain data, as ready saw
		at, known := places[string(data)]
		if !known {
			at = len(pods)
			places[string(data)], pods = at, append(pods, nil)
		}
		pods[at] = append(pods[at], e)
		return e
	}
	for i, t := range trials {
		r.step(record.Unit)
		if t == nil || t.over {
			continue
		}
		if twins[t.twinID] == nil {
			twins[t.twinID] = add(&errand{index: t.index, role: "twin", step: &t.twin})
		}
		tries[i] = add(&errand{index: t.index, role: "try", step: &t.try})
		t.begin()
	}
	var all sync.WaitGroup
	for _, errands := range pods {
		all.Go(func() { r.inOnePod(ctx, record, round, errands) })
	}
	all.Wait()
	for i, t := range trials {
		if tries[i] != nil {
			all.Go(func() { tries[i].answer = r.insist(ctx, record, t, round, tries[i].answer) })
		}
	}
	all.Wait()
	for i, t := range trials {
		if tries[i] != nil {
			r.conclude(ctx, t, twins[t.twinID].answer, tries[i].answer)
		}
	}
}

// inOnePod does what errands want of one pod, and records it.
func (r *run) inOnePod(ctx context.Context, record *Record, round int, errands []*errand) {
	tasks := make([]*bailey.Task, len(errands))
	var failure error
	for i, e := range errands {
		tasks[i] = e.step.Task
		failure = errors.Join(failure, harmless(record.Unit.Experiment.Danger, e.step, r.id))
	}
	if failure == nil {
		failure = r.clients.wait(ctx)
	}
	answers := make([]answer, len(errands))
	if failure == nil {
		answers = r.pod(ctx, tasks[0].In, tasks)
	}
	for i, e := range errands {
		if e.answer = answers[i]; failure != nil {
			e.answer = answer{at: r.now().UTC(), failure: fmt.Errorf("not done: %w", failure)}
		}
		r.note(ctx, record, e.index, e.role, round, e.step, e.answer)
	}
}
