package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// newPusher gives what pushes to the hub that flags name.
func (s *serving) newPusher() (*server.Pusher, error) {
	if s.app.offline {
		return nil, usageError("--push-to sends what is found to a hub, and --offline nothing to anybody\nhint: leave out one of the two")
	}
	var pool *x509.CertPool
	if s.flags.pushCA != "" {
		data, err := readBounded(s.flags.pushCA, 1<<20)
		if err != nil {
			return nil, usageError("--push-ca: %w", err)
		}
		if pool = x509.NewCertPool(); !pool.AppendCertsFromPEM(data) {
			return nil, usageError("--push-ca wants certificates in PEM, and %s holds none", s.flags.pushCA)
		}
	}
	if _, err := s.pushToken(); err != nil {
		return nil, usageError("--push-token: %w", err)
	}
	p, err := server.NewPusher(s.flags.pushTo, s.pushToken, pool)
	if err != nil {
		return nil, usageError("--push-to: %w", err)
	}
	return p, nil
}

func (s *serving) pushToken() (string, error) {
	data, err := readBounded(s.flags.pushToken, 4<<10)
	token := strings.TrimSpace(string(data))
	if err == nil && (token == "" || strings.ContainsAny(token, " \r\n\t")) {
		err = fmt.Errorf("%s holds no token", s.flags.pushToken)
	}
	return token, err
}

// pushing gives the part that pushes what is found. A server that another has taken over from
// pushes nothing more, which only the store can tell it.
func (s *serving) pushing(kept *store.Store) part {
	s.pusher.Before = func(ctx context.Context) error { return kept.InTerm(ctx) }
	recorder := &server.Recorder{Store: s.pusher, Loop: s.loop, News: s.news, Elsewhere: true, Log: s.log.With("hub", s.flags.pushTo), Now: s.app.now,
		Alerts: func(ctx context.Context, cluster string) error {
			return s.pusher.PushAlerts(ctx, kept, cluster, s.app.now())
		}}
	s.log.Info("what is found is pushed to a hub", "hub", s.flags.pushTo, "cluster", s.loop.Cluster())
	return recorder.Run
}
