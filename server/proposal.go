package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/prove"
)

// ProposerOptions are what a Proposer plans from.
type ProposerOptions struct {
	Snapshot func() *bailey.Snapshot
	Controls []*bailey.Control
	// Isolated tells that runs here may make objects of their own, and Places what there is to act from.
	Isolated bool
	Places   []bailey.Place
	// Rate is how many requests a run makes a second at most.
	Rate int
	// Evidence is what there is already, which says whose turn it is where not all can be tried at once.
	Evidence func(ctx context.Context) ([]bailey.Evidence, error)

	Now func() time.Time
}

// Proposer says what a run of an experiment would try, on the newest state of the cluster. It asks
// nobody and does nothing.
type Proposer struct {
	o    ProposerOptions
	turn chan struct{} // one plan at a time
	mu   sync.Mutex
	kept map[string]*proposing // by control and experiment
}

// NewProposer makes it.
func NewProposer(o ProposerOptions) *Proposer {
	return &Proposer{o: o, turn: make(chan struct{}, 1), kept: map[string]*proposing{}}
}

// proposing is a plan that is made, or was.
type proposing struct {
	done  chan struct{} // closed when the others are there
	plan  Proposal
	err   error // why there is none
	ended time.Time
	took  time.Duration
}

const (
	// proposalKept is how long a plan is shown again at least, and proposalShare how many times as long as it
	// took: of a cluster of 100,000 objects that is up to a minute.
	proposalKept  = 5 * time.Second
	proposalShare = 20
)

// ErrPlanning tells that a plan is being made, and will be there later.
var ErrPlanning = fmt.Errorf("the plan is being made: %w", ErrUnavailable)

// Proposal is what a run of one experiment would try.
type Proposal struct {
	Control    string        `json:"control"`
	Experiment string        `json:"experiment"`
	Danger     bailey.Danger `json:"danger"`
	// At is when the cluster was as the plan takes it.
	At time.Time `json:"at"`
	// Refused says why an order of it would be refused or try nothing; empty if it would not. What it would
	// try otherwise is told all the same.
	Refused string `json:"refused,omitempty"`
	Scopes  int    `json:"scopes"` // in which something is tried
	Probes  int    `json:"probes"` // in all of them
	Repeat  int    `json:"repeat"` // how often each is tried
	// Requests counts those of the plan, of which there are at most Rate a second; waiting for something and
	// tidying up add some. A run ends after Limit.
	Requests int           `json:"requests"`
	Rate     int           `json:"rate"`
	Limit    time.Duration `json:"limit"`
	// Paths are the ways in, with the probes of each; Examples names the first of them.
	Paths []ProposedPath `json:"paths"`
	// Where lists the first scopes, and Later says of others why they are not tried now.
	Where []bailey.Scope `json:"where"`
	Later []string       `json:"later,omitempty"`
	// Rights are what the prober needs, and no more.
	Rights []prove.Grant `json:"rights"`
}

// ProposedPath is one way in.
type ProposedPath struct {
	Path     string   `json:"path"`
	Probes   int      `json:"probes"`
	Examples []string `json:"examples"`
}

// Bounds of what a proposal lists.
const (
	proposedPaths    = 100
	proposedExamples = 5
	proposedScopes   = 20
	proposedLater    = 10
	proposedRights   = 200
)

// Propose plans an experiment of a control, or gives the plan of a moment ago: ErrNotFound if there is none,
// ErrUnavailable before the cluster was read first, and ErrPlanning when ctx ends before it is there.
func (p *Proposer) Propose(ctx context.Context, control, experiment string) (Proposal, error) {
	c, x := p.find(control, experiment)
	if x == nil {
		return Proposal{}, ErrNotFound
	}
	s := p.o.Snapshot()
	if s == nil {
		return Proposal{}, ErrUnavailable
	}
	k := p.begin(context.WithoutCancel(ctx), s, c, x)
	select {
	case <-k.done:
		return k.plan, k.err
	case <-ctx.Done():
		return Proposal{}, ErrPlanning
	}
}

// begin gives the plan that is made, or is not old, or begins another, which goes on whoever waits for it.
func (p *Proposer) begin(ctx context.Context, s *bailey.Snapshot, c *bailey.Control, x *bailey.Experiment) *proposing {
	key := c.ID + "/" + x.Name
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.kept[key]; k != nil {
		select {
		case <-k.done:
			if k.err == nil && p.o.Now().Sub(k.ended) < max(proposalKept, proposalShare*k.took) {
				return k
			}
		default:
			return k
		}
	}
	k := &proposing{done: make(chan struct{})}
	p.kept[key] = k
	go func() {
		p.turn <- struct{}{}
		defer func() { <-p.turn }()
		begun := p.o.Now()
		var evidence []bailey.Evidence
		if evidence, k.err = p.o.Evidence(ctx); k.err == nil {
			k.plan = p.plan(s, c, x, evidence)
		}
		k.ended = p.o.Now()
		k.took = k.ended.Sub(begun)
		close(k.done)
	}()
	return k
}

func (p *Proposer) plan(s *bailey.Snapshot, c *bailey.Control, x *bailey.Experiment, evidence []bailey.Evidence) Proposal {
	choice := prove.Choice{Worst: bailey.DangerDryRun, Places: p.o.Places, Only: []string{x.Name}, Evidence: evidence}
	if p.o.Isolated {
		choice.Worst = bailey.DangerIsolated
	}
	o := Proposal{Control: c.ID, Experiment: x.Name, Danger: x.Danger, At: s.Meta.At, Repeat: x.Danger.Tries(), Rate: p.o.Rate, Limit: prove.DefaultLimit, Paths: []ProposedPath{}, Where: []bailey.Scope{}}
	planned := prove.Plan(s, []*bailey.Control{c}, choice)
	if !tries(planned.Units) {
		o.Refused = "nothing in this cluster is there to try it on"
		if len(planned.Units) > 0 {
			o.Refused = planned.Units[0].Skipped
			// What it would do is told, whatever the server lacks.
			choice.Worst, choice.Places = bailey.DangerDisruptive, x.Places
			planned = prove.Plan(s, []*bailey.Control{c}, choice)
		}
	}
	o.fill(planned.Units)
	return o
}

func (p *Proposer) find(control, experiment string) (*bailey.Control, *bailey.Experiment) {
	for _, c := range p.o.Controls {
		if c.ID == control {
			return c, c.Experiment(experiment)
		}
	}
	return nil, nil
}

// tries reports whether one of the units is tried.
func tries(units []prove.Unit) bool {
	return slices.ContainsFunc(units, func(u prove.Unit) bool { return u.Skipped == "" })
}

func (o *Proposal) fill(units []prove.Unit) {
	paths := map[string]int{}
	for i := range units {
		u := &units[i]
		if u.Skipped != "" {
			if len(o.Later) < proposedLater && u.Skipped != o.Refused {
				o.Later = append(o.Later, u.Scope.String()+": "+u.Skipped)
			}
			continue
		}
		o.Scopes++
		if len(o.Where) < proposedScopes {
			o.Where = append(o.Where, u.Scope)
		}
		for k := range u.Probes {
			probe := &u.Probes[k]
			o.Probes++
			o.Requests += requests(probe, o.Repeat)
			at, known := paths[probe.Path]
			if !known {
				if len(o.Paths) == proposedPaths {
					continue
				}
				at = len(o.Paths)
				paths[probe.Path] = at
				o.Paths = append(o.Paths, ProposedPath{Path: probe.Path})
			}
			way := &o.Paths[at]
			way.Probes++
			if len(way.Examples) < proposedExamples && !slices.Contains(way.Examples, probe.Name) {
				way.Examples = append(way.Examples, probe.Name)
			}
		}
	}
	o.Rights = prove.Grants(units)
	o.Rights = o.Rights[:min(len(o.Rights), proposedRights)]
}

// givenMost is how often what the platform claims is asked at most, before the tries.
const givenMost = 3

// requests counts those of a probe: its setup once, the try and its twin each time, what the
// platform claims up to three times, and the undoing.
func requests(p *bailey.Probe, repeat int) int {
	n := len(p.Setup) + 2*repeat + len(p.Undo)
	for _, given := range []*bailey.Step{p.Given, p.GivenTwin} {
		if given != nil {
			n += givenMost
		}
	}
	return n
}
