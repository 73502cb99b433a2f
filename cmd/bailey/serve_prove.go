package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/server"
)

// prove does one run of experiments for the server, as `bailey prove` does.
func (s *serving) prove(ctx context.Context, o server.RunOrder, p server.Progress) ([]bailey.Evidence, error) {
	if o.Isolated && !s.flags.isolated {
		return nil, server.ErrNotIsolated // ordered at another replica
	}
	chosen, err := chooseControls(o.Controls)
	if err != nil {
		return nil, err
	}
	uid := s.loop.Cluster()
	before := map[string]bool{}
	kept, err := s.app.kept(ctx, s.conf, uid, s.app.now())
	if err != nil {
		return nil, err
	}
	for _, k := range kept {
		before[k.Summary.Evidence.ID] = true
	}
	f := s.proving(o)
	f.progress = p
	quiet := *s.app
	quiet.stdout, quiet.stderr, quiet.quiet = io.Discard, io.Discard, true
	err = quiet.prove(ctx, f, chosen)
	var coded *exitError
	if errors.As(err, &coded) && (coded.code == exitFindings || coded.code == exitNothing) {
		err = nil // what was broken, or that there was nothing to try, is told by the evidence
	}
	if err != nil {
		err = fmt.Errorf("the run failed: %w", err)
	}
	// What was seen until a run was ended is kept, and counts.
	ctx = context.WithoutCancel(ctx)
	kept, unread := s.app.kept(ctx, s.conf, uid, s.app.now())
	if unread != nil {
		return nil, errors.Join(err, unread)
	}
	s.record(ctx, kept)
	var made []bailey.Evidence
	for _, k := range kept {
		if e := k.Summary.Evidence; !before[e.ID] {
			made = append(made, e)
		}
	}
	return made, err
}

// mayAct gives what tells whether the schedule may make objects of its own, by the configuration's window; nil where it never may.
func (s *serving) mayAct() (func() bool, error) {
	scheduled, err := (&proveFlags{every: s.flags.every}).scheduled(s.conf, s.app.now())
	if err != nil || scheduled == nil || scheduled.Window == nil || !s.flags.isolated {
		return nil, err
	}
	return func() bool { _, open := scheduled.Window.Open(s.app.now()); return open }, nil
}

// proving says how a run is done that is ordered here.
func (s *serving) proving(o server.RunOrder) *proveFlags {
	t := s.flags.target
	t.watched = s.loop.Snapshot // it is current, and a prober may try, not look around
	if s.flags.prover != "" {
		t.kubeconfig, t.context = s.flags.prover, ""
	}
	f := &proveFlags{target: t, rate: s.flags.rate, as: s.flags.proveAs, limit: prove.DefaultLimit, format: "json", image: s.flags.image, isolated: o.Isolated,
		inPod: t.kubeconfig == "" && t.context == "" && kube.InCluster()}
	if o.Scheduled {
		f.every = s.flags.every // nobody watches: it acts in the configured window and upon namespaces that opted in
	}
	if o.Experiment != "" {
		f.only = []string{o.Experiment}
	}
	if s.detector != nil {
		f.auditLog, f.around = s.flags.auditLog, s.ours
	}
	if s.book != nil {
		f.record = s.book.Record
	}
	return f
}

// proposer says what such runs would try.
func (s *serving) proposer(all []*bailey.Control) *server.Proposer {
	return server.NewProposer(server.ProposerOptions{Snapshot: s.loop.Snapshot, Controls: all, Isolated: s.flags.isolated, Rate: s.flags.rate, Places: s.proving(server.RunOrder{}).places(s.conf), Now: s.app.now,
		Evidence: func(ctx context.Context) ([]bailey.Evidence, error) {
			kept, err := s.app.kept(ctx, s.conf, s.loop.Cluster(), s.app.now())
			var evidence []bailey.Evidence
			for _, k := range kept {
				evidence = append(evidence, k.Summary.Evidence)
			}
			return evidence, err
		}})
}
