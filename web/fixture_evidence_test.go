package web_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// Of each experiment that was tried, many runs are kept, each of which tried some namespaces. The pages of experiments
// are given as much of that as the desk gives.
const (
	fixtureRuns, fixtureScopes = 46, 5
	deskRuns, deskEvidence     = 40, 50
)

// untried reports whether an experiment was never tried: every fourth.
func (f *fixture) untried(control, experiment string) bool {
	n := 0
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			if c.ID == control && x.Name == experiment {
				return n%4 == 3
			}
			n++
		}
	}
	return true
}

// evidence gives what may be seen of an experiment, the newest first.
func (f *fixture) evidence(ask server.Ask, control, experiment string) iter.Seq[server.Evidence] {
	return func(yield func(server.Evidence) bool) {
		if f.untried(control, experiment) {
			return
		}
		for i := range fixtureRuns * fixtureScopes {
			run, scope, index := i/fixtureScopes, i%fixtureScopes, uint64(411-i)
			if !ask.Sees.Has(f.namespaces[scope]) {
				continue
			}
			e := server.Evidence{ID: fmt.Sprintf("%012x%052d", 7919*(i+1), 0), Run: "run-" + strconv.Itoa(run), Control: control, Experiment: experiment,
				Scope: bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: f.namespaces[scope]}},
				At:    f.now.Add(-time.Duration(run*9+2)*time.Hour - time.Duration(scope)*time.Minute), Held: 64, Tried: 64, Signer: "5f0c" + strings.Repeat("ab", 30), Ledger: &index,
				Paths: []bailey.Tally{{Path: "create pod (privileged container)", Tried: 48, Held: 48}, {Path: "ephemeral container", Tried: 16, Held: 16}}}
			switch {
			case run == 2 && scope == 1:
				e.Held, e.Broken = 52, 12
				e.Paths[1] = bailey.Tally{Path: "ephemeral container", Tried: 16, Held: 4, Broken: 12, Why: []string{"try 5: admitted, where PodSecurity should refuse " + hostile}}
			case run == 1 && scope == 0:
				e.Held, e.Inconclusive, e.Interrupted = 30, 34, true
			}
			if !ask.Sees.All {
				e.Run = ""
			}
			if !yield(e) {
				return
			}
		}
	}
}

func (f *fixture) Evidence(_ context.Context, ask server.Ask, filter server.EvidenceFilter) ([]server.Evidence, string, error) {
	var list []server.Evidence
	for e := range f.evidence(ask, filter.Control, filter.Experiment) {
		if filter.Namespace == "" || e.Scope.Object.Name == filter.Namespace {
			list = append(list, e)
		}
	}
	if filter.Order == "oldest" {
		slices.Reverse(list)
	}
	return piece(list, filter.Cursor, min(cmp.Or(filter.Limit, deskEvidence), 100)) // a file takes several
}

// shown gives an experiment with as many of its runs and of its evidence.
func (f *fixture) shown(ask server.Ask, c *bailey.Control, x *bailey.Experiment, runs, evidence int) server.ExperimentInfo {
	one := server.ExperimentInfo{Control: c.ID, Name: x.Name, Title: x.Title, Doc: x.Doc, Hypothesis: x.Hypothesis, Danger: x.Danger, Technique: x.Technique, Window: x.Window}
	for e := range f.evidence(ask, c.ID, x.Name) {
		if len(one.Evidence) < evidence {
			one.Evidence = append(one.Evidence, e)
		}
		if n := len(one.Runs); n == 0 || one.Runs[n-1].At.Sub(e.At) > time.Hour { // runs are nine hours apart
			if one.OlderRuns = n == runs; one.OlderRuns {
				break
			}
			one.Runs = append(one.Runs, server.ExperimentRun{Run: e.Run, At: e.At})
		}
		r := &one.Runs[len(one.Runs)-1]
		r.Scopes++
		if e.Interrupted || e.Tried > 0 && e.Held == 0 {
			r.Unheld++
		}
		r.Held, r.Tried, r.Broken, r.Inconclusive = r.Held+e.Held, r.Tried+e.Tried, r.Broken+e.Broken, r.Inconclusive+e.Inconclusive
	}
	one.State = one.StateAt(f.now)
	return one
}

func (f *fixture) Experiments(_ context.Context, ask server.Ask, filter server.ExperimentFilter) ([]server.ExperimentInfo, error) {
	var all []server.ExperimentInfo
	for _, c := range f.controls {
		for _, x := range c.Experiments {
			one := f.shown(ask, c, x, 1, 1)
			one.OlderRuns = false // lists do not tell
			all = append(all, one)
		}
	}
	return filter.Of(all, f.now)
}

func (f *fixture) Experiment(_ context.Context, ask server.Ask, control, name string) (server.ExperimentInfo, error) {
	for _, c := range f.controls {
		if x := c.Experiment(name); c.ID == control && x != nil {
			return f.shown(ask, c, x, deskRuns, deskEvidence), nil
		}
	}
	return server.ExperimentInfo{}, server.ErrNotFound
}
