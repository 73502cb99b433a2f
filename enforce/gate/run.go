package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/internal/keypair"
)

// Running are the settings of a gate that runs beside a cluster.
type Running struct {
	Options
	Client kubernetes.Interface
	Config imagegate.Config // where the API server finds it, for certificate and scope

	// CertFile and KeyFile are kept by somebody else, such as cert-manager, who then also
	// keeps the CA in the webhook configurations. Empty: the gate makes its own.
	CertFile, KeyFile string
	// Keys is where those are kept; a Secret if it is zero.
	Keys KeyStore
	// GrantKey seals break-glass grants where CertFile is used.
	GrantKey []byte

	Webhooks net.Listener
	Health   net.Listener // nil: health and metrics are not served

	// Attach has the gate write its webhook configuration when it can answer, and again when it
	// is gone, and remove it at the end. It is for a gate that judges by rules alone, and ends
	// before its cluster. Gate.Attachment says how that went.
	Attach bool

	CheckEvery time.Duration // of scope and keys; 15 s if zero
	// Drain is how long the gate goes on answering when it is to end, so that everybody
	// has heard that it is not ready; 10 s if zero, none if negative.
	Drain time.Duration
	// DrainLimit bounds what has begun after that; 15 s if zero.
	DrainLimit time.Duration
}

// certificates gives the serving certificate and keeps it fresh.
type served struct {
	current func() *tls.Certificate
	bundle  func() []byte
	renew   func(ctx context.Context) error
}

// Run serves until ctx ends, then lets go without a request that fails. The gate is handed
// to started, which may be nil, before it serves.
func Run(ctx context.Context, r Running, started func(*Gate)) error {
	setDefault(&r.CheckEvery, 15*time.Second)
	setDefault(&r.Drain, 10*time.Second)
	setDefault(&r.DrainLimit, 15*time.Second)
	if r.Now == nil {
		r.Now = time.Now
	}
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	s := r.certificates()
	g, err := New(r.Options)
	if err != nil {
		return err
	}
	if r.Attach {
		g.metrics.registry.MustRegister(g.metrics.attached)
	}
	if started != nil {
		started(g)
	}
	scope := NewScope(r.Client, g, r.Config, s.bundle)
	server := NewServer(g, ServerOptions{
		Certificate: s.current,
		Lacking: func() string {
			if s.current() == nil {
				return "it has no certificate yet"
			}
			if g.overlay != nil && !g.overlay.tried() {
				return "it has not read the cluster yet"
			}
			return ""
		},
		Notes: scope.Deviations,
	})
	work, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	if r.Health != nil {
		work.Go(func() error { return server.ServeHealth(r.Health) })
	}
	work.Go(func() error { return server.Serve(r.Webhooks) })
	kept := make(chan struct{})
	work.Go(func() error {
		defer close(kept)
		r.keep(serving, g, s, scope)
		return nil
	})
	if g.overlay != nil && g.overlay.o.Lay == nil {
		work.Go(func() error {
			g.overlay.run(serving)
			return nil
		})
	}
	work.Go(func() error {
		<-ctx.Done()
		if r.Attach {
			stop()
			<-kept // it may be attaching
			r.detach(context.WithoutCancel(ctx), g.log)
		}
		server.Drain()
		if r.Drain > 0 {
			g.log.Info("ending: not ready any more, still answering", "for", r.Drain)
			time.Sleep(r.Drain)
		}
		stop()
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.DrainLimit)
		defer cancel()
		if err := server.Shutdown(ending); err != nil {
			return fmt.Errorf("not every request was answered: %w", err)
		}
		return nil
	})
	return work.Wait()
}

// keep renews keys and checks the scope. The API server need not be there yet.
func (r *Running) keep(ctx context.Context, g *Gate, s served, scope *Scope) {
	const retry = time.Second // until the gate can be asked
	for ctx.Err() == nil {
		if err := s.renew(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("the certificate could not be renewed", "error", err)
		}
		if c := s.current(); c != nil && c.Leaf != nil {
			g.metrics.expiry.Set(float64(c.Leaf.NotAfter.Unix()))
		}
		asked := true
		if r.Attach {
			asked = r.attached(ctx, g, s, scope)
		} else {
			scope.Check(ctx)
		}
		wait := r.CheckEvery
		if s.current() == nil || !asked {
			wait = min(wait, retry)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// certificates are the gate's own, or somebody's files.
func (r *Running) certificates() served {
	if r.CertFile == "" {
		hosts := []string{r.Config.Service + "." + r.Config.Namespace + ".svc"}
		if r.Config.URL != "" {
			hosts = []string{hostOf(r.Config.URL)}
		}
		store := r.Keys
		if store.Read == nil {
			store = SecretStore(r.Client, r.Config.Namespace)
		}
		keys := NewKeys(store, hosts, r.Now, r.Log)
		if r.Grants != nil {
			r.Grants.Key = keys.GrantKey
		}
		return served{keys.Certificate, keys.Bundle, keys.Renew}
	}
	if r.Grants != nil {
		r.Grants.Key = func() []byte { return r.GrantKey }
	}
	pair := keypair.New(r.CertFile, r.KeyFile, r.Log)
	return served{current: pair.Current, renew: func(context.Context) error {
		if err := pair.Renew(); err != nil {
			return errors.Join(err, errors.New("hint: --tls-cert and --tls-key name PEM files"))
		}
		return nil
	}}
}
