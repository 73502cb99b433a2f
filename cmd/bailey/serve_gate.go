package main

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/server"
)

const (
	// gateNamespace is left alone by the gate of up, as by one that is installed there.
	gateNamespace = "bailey"
	// gateChecks is how often it looks whether it is asked.
	gateChecks = 5 * time.Second
)

// runGate runs the gate of up until ctx ends: in this process, on loopback, for the cluster
// that up started. It judges by what the loop holds, and leaves no webhook behind.
func (s *serving) runGate(ctx context.Context) error {
	if err := s.awaitCluster(ctx); err != nil {
		return err
	}
	client, err := gateClient(s.flags.target.kubeconfig, s.flags.hallmark)
	if err != nil {
		return err
	}
	warn := s.flags.gate == gateWarns
	return gate.Run(ctx, gate.Running{
		Options: gate.Options{Namespace: gateNamespace, Warn: warn, Now: s.app.now,
			// What it decides whoever asks is told: on this terminal it would bury the rest.
			Log:   slog.New(slog.NewTextHandler(s.app.stderr, &slog.HandlerOptions{Level: slog.LevelError})),
			Rules: &gate.Rules{Lay: s.lay, Fact: gateFact, Describe: describeFix, RefuseStale: !warn, Waivers: func() []bailey.Waiver { return s.taken().Waivers }}},
		Client: client, Config: *s.flags.target.ownGate, Keys: gate.MemoryStore(), Webhooks: s.flags.gateAt, Attach: true, CheckEvery: gateChecks, Drain: -1,
	}, func(g *gate.Gate) {
		s.metrics.Registry.MustRegister(g.Metrics())
		s.gate.Store(g)
	})
}

// lay says what an object adds that fails a scan here: at or over the severity for which
// `bailey scan` does, and not in the baseline. What could not be judged the pages tell of the
// cluster, and not every request again.
func (s *serving) lay(ctx context.Context, before, after *bailey.Fact) (check.Laid, error) {
	laid, err := s.loop.Lay(ctx, before, after)
	baseline := s.taken().Baseline
	laid.Unjudged = nil
	laid.Added = slices.DeleteFunc(laid.Added, func(f bailey.Finding) bool { return f.Severity < s.failOn || baseline[f.ID] })
	return laid, err
}

// taken are the waivers and the baseline that the newest report took in.
func (s *serving) taken() server.Accepted {
	if a := s.inForce.Load(); a != nil {
		return *a
	}
	return server.Accepted{}
}

// gateState says what the gate does; nil where none runs.
func (s *serving) gateState() *server.GateState {
	g := s.gate.Load()
	if g == nil {
		return nil
	}
	judged, objected := g.Counts()
	state := &server.GateState{Mode: g.Mode(), Judged: int(judged), Objected: int(objected)}
	at := g.Attachment()
	state.Asked, state.Deviations = at.Err == nil, len(at.Deviations)
	if at.Err != nil {
		state.Why = at.Err.Error()
	}
	return state
}

// showGate shows what the gate does where it is said how current everything is.
func (s *serving) showGate() {
	sight := s.sight
	s.sight = func() server.Sight {
		now := sight()
		now.Gate = s.gateState()
		return now
	}
}

func gateClient(kubeconfig string, hallmark *server.Hallmark) (kubernetes.Interface, error) {
	config, err := kube.RESTConfig(kubeconfig, "")
	if err != nil {
		return nil, err
	}
	config.UserAgent = "bailey-gate/" + version
	hallmark.Around(config)
	return kubernetes.NewForConfig(config)
}

// clearGate removes the webhook configuration that a gate of up left which was killed. The error
// wraps gate.ErrTaken where the cluster has another gate, which stays.
func clearGate(ctx context.Context, kubeconfig string, hallmark *server.Hallmark) error {
	client, err := gateClient(kubeconfig, hallmark)
	if err != nil {
		return err
	}
	return gate.Detach(ctx, client, "")
}

// gateConfig is what the API server is told of a gate of up.
func gateConfig(listener net.Listener, warn bool) *imagegate.Config {
	return &imagegate.Config{Namespace: gateNamespace, URL: "https://" + listener.Addr().String(), RulesOnly: true, Warn: warn}
}

// withoutGate leaves out the webhook configuration of up's own gate: it is no part of the platform
// that is judged, and another one at each start. One that differs in anything from what that gate
// wrote is judged as any other.
func withoutGate(s *bailey.Snapshot, own *imagegate.Config) *bailey.Snapshot {
	if f := s.Get(bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: imagegate.Name}); isOwnGate(f, own) {
		return s.Without(f.Ref)
	}
	return s
}

func isOwnGate(f *bailey.Fact, own *imagegate.Config) bool {
	c, is := bailey.As[*admissionv1.ValidatingWebhookConfiguration](f)
	return is && own.Wrote(c)
}

// blindToGate has a follower not be told of it; one that was another before is gone.
func blindToGate(f kube.Follower, own *imagegate.Config) kube.Follower {
	whole, changed := f.Whole, f.Changed
	f.Whole = func(s *bailey.Snapshot) { whole(withoutGate(s, own)) }
	f.Changed = func(facts []*bailey.Fact, gone []bailey.Ref) {
		if at := slices.IndexFunc(facts, func(f *bailey.Fact) bool { return isOwnGate(f, own) }); at >= 0 {
			gone = append(slices.Clone(gone), facts[at].Ref)
			facts = slices.Delete(slices.Clone(facts), at, at+1)
		}
		changed(facts, gone)
	}
	return f
}
