// Package prove runs experiments: it makes the requests that their probes
// describe, tells a refusal from a failure, and counts what held. This version
// runs the dry-run class; it leaves nothing behind but audit records.
package prove

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// DefaultRepeat is how often a dry-run probe is tried: a control that fails
// one time in four is caught 99 times in 100.
const DefaultRepeat = 16

// requestLimit bounds one request; a refusal by timeout is inconclusive.
const requestLimit = 15 * time.Second

// Outcome is what one try showed.
type Outcome string

const (
	// Held: the try was refused by whom the probe names, and its twin accepted.
	Held Outcome = "held"
	// Broken: the platform accepted what it must refuse.
	Broken Outcome = "broken"
	// Inconclusive: somebody else refused, the twin failed too, or no answer came.
	Inconclusive Outcome = "inconclusive"
)

// Result is one probe with the tally of its tries.
type Result struct {
	Probe                             bailey.Probe
	Tried, Held, Broken, Inconclusive int
	// Why is what the first try that did not hold showed; empty if all held.
	Why string
}

// Outcome is the worst of the tries.
func (r Result) Outcome() Outcome {
	switch {
	case r.Broken > 0:
		return Broken
	case r.Inconclusive > 0 || r.Tried == 0:
		return Inconclusive
	}
	return Held
}

// Prober makes requests to one API server with one identity.
type Prober struct {
	client *http.Client
	server string
	// Repeat is the number of tries per probe; 0 means DefaultRepeat.
	Repeat int
	// Progress, if set, is called after each probe.
	Progress func(done, total int)
}

// NewProber gives a prober that asks with the identity of the configuration.
func NewProber(config *rest.Config) (*Prober, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "bailey-prober"
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	client.Timeout = requestLimit
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	return &Prober{client: client, server: server.String()}, nil
}

// Run plans the experiment for each scope and tries every probe. It refuses an
// experiment that does more than dry-run, and stops when ctx ends.
func (p *Prober) Run(ctx context.Context, s *bailey.Snapshot, x *bailey.Experiment, scopes []bailey.Ref) ([]Result, error) {
	if x.Danger != bailey.DangerNone && x.Danger != bailey.DangerDryRun {
		return nil, fmt.Errorf("experiment %s is %s; this version runs the dry-run class only", x.Name, x.Danger)
	}
	var probes []bailey.Probe
	view := bailey.NewView(s)
	for _, scope := range scopes {
		view.Allow(nil, x.Needs, nil)
		planned := x.Plan(view, scope)
		if missing := view.Missing(); len(missing) > 0 {
			return nil, fmt.Errorf("experiment %s cannot be planned for %s: %s was not seen (%s)\nhint: %s", x.Name, scope, missing[0].Kind, missing[0].Reason, missing[0].Hint)
		}
		probes = append(probes, planned...)
	}
	results := make([]Result, 0, len(probes))
	for i, probe := range probes {
		r, err := p.try(ctx, probe)
		if err != nil {
			return results, err
		}
		results = append(results, r)
		if p.Progress != nil {
			p.Progress(i+1, len(probes))
		}
	}
	return results, nil
}

// try repeats one probe. It ends early once the control is broken: one
// acceptance of the forbidden is an answer.
func (p *Prober) try(ctx context.Context, probe bailey.Probe) (Result, error) {
	r := Result{Probe: probe}
	repeat := p.Repeat
	if repeat == 0 {
		repeat = DefaultRepeat
	}
	for range repeat {
		outcome, why := p.once(ctx, probe)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		r.Tried++
		switch outcome {
		case Held:
			r.Held++
		case Broken:
			r.Broken++
		default:
			r.Inconclusive++
		}
		if outcome != Held && r.Why == "" {
			r.Why = why
		}
		if outcome == Broken {
			return r, nil
		}
	}
	return r, nil
}

// once asks the twin first: where the allowed is refused, a refusal of the
// forbidden would show nothing.
func (p *Prober) once(ctx context.Context, probe bailey.Probe) (Outcome, string) {
	if a := p.ask(ctx, probe.Twin); !a.accepted() {
		return Inconclusive, "the allowed twin did not pass: " + a.String()
	}
	a := p.ask(ctx, probe.Try)
	switch {
	case a.accepted():
		return Broken, "the API server accepted it"
	case a.refuser() == probe.Try.Refuser:
		return Held, ""
	}
	return Inconclusive, fmt.Sprintf("not refused by %s but: %s", probe.Try.Refuser, a)
}
