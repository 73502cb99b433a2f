package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// tendFlags say what the server does with history beside keeping it.
type tendFlags struct {
	keep          time.Duration
	webhook       string // a file
	webhookHTTP   string // a file
	alertmanagers []string
	managerHTTP   string // a file
	deadMan       string // a file
	plainHTTP     bool
	severity      string
	worth         bailey.Severity // what that says; none before check
}

// leastKept is the shortest time that history is kept.
const leastKept = 24 * time.Hour

func (f *tendFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.DurationVar(&f.keep, "keep", 90*24*time.Hour, "how long history is kept of what is over; 0: for ever")
	flags.StringVar(&f.webhook, "alert-webhook", "", "send alerts to a webhook: a file that holds its URL and, in a second line, a key to sign with")
	flags.StringArrayVar(&f.alertmanagers, "alertmanager", nil, "send alerts to the Alertmanager at this URL; may be repeated")
	flags.StringVar(&f.webhookHTTP, "alert-webhook-http", "", "how the webhook is reached (credentials, authorities, a client certificate): a file in the form of Prometheus' http_config")
	flags.StringVar(&f.managerHTTP, "alertmanager-http", "", "how Alertmanagers are reached, as --alert-webhook-http")
	flags.BoolVar(&f.plainHTTP, "alert-plain-http", false, "let alerts go by http://, which whoever is on the way reads, to other machines too")
	flags.StringVar(&f.severity, "alert-severity", "high", "raise alerts of new findings from this severity on: critical, high, medium, low or info")
	flags.StringVar(&f.deadMan, "dead-man", "", "call a URL every minute while all is well: a file that holds it")
}

func (f *tendFlags) check() error {
	if f.keep != 0 && f.keep < leastKept {
		return usageError("--keep wants a day (24h) or more, or 0 for ever")
	}
	var err error
	if f.worth, err = bailey.ParseSeverity(f.severity); err != nil || f.worth == bailey.SeverityNone {
		return usageError("--alert-severity wants critical, high, medium, low or info, and not %q", f.severity)
	}
	for _, address := range f.alertmanagers {
		if err := server.CheckAlertmanager(address); err != nil {
			return usageError("--alertmanager: %w", err)
		}
		if err := f.private(address); err != nil {
			return usageError("--alertmanager %s %w", address, err)
		}
	}
	if f.webhookHTTP != "" && f.webhook == "" || f.managerHTTP != "" && len(f.alertmanagers) == 0 {
		return usageError("--alert-webhook-http goes with --alert-webhook, and --alertmanager-http with --alertmanager")
	}
	for flag, path := range map[string]string{"--alert-webhook-http": f.webhookHTTP, "--alertmanager-http": f.managerHTTP} {
		if _, err := senderOf(path); err != nil {
			return usageError("%s wants a file in the form of Prometheus' http_config: %w", flag, err)
		}
	}
	for flag, path := range map[string]string{"--alert-webhook": f.webhook, "--dead-man": f.deadMan} {
		if path == "" {
			continue
		}
		if _, err := f.endpoint(path); err != nil {
			return usageError("%s wants a file that holds a URL: %w", flag, err)
		}
	}
	return nil
}

// tells reports whether somebody outside is told something.
func (f *tendFlags) tells() bool {
	return f.webhook != "" || f.deadMan != "" || len(f.alertmanagers) > 0
}

// endpoint reads where something is sent to. The file may be another by the next time.
func (f *tendFlags) endpoint(path string) (server.Endpoint, error) {
	data, err := readBounded(path, 16<<10)
	if err != nil {
		return server.Endpoint{}, err
	}
	e, err := server.ParseEndpoint(data)
	if err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	if err := f.private(e.URL); err != nil {
		return server.Endpoint{}, fmt.Errorf("%s: its first line %w", path, err)
	}
	return e, nil
}

// private fails of an address to which alerts would go in plain text, unless that is wanted.
func (f *tendFlags) private(address string) error {
	u, err := url.Parse(address)
	if err != nil || f.plainHTTP || u.Scheme == "https" || loopback(u.Hostname()) {
		return nil // what is no URL was told before
	}
	return errors.New("is plain http: whoever is on the way reads what is weak here\nhint: https, or --alert-plain-http if nobody is on the way")
}

// senderOf gives what sends as a file says; nil if there is none.
func senderOf(path string) (*http.Client, error) {
	if path == "" {
		return nil, nil
	}
	return server.NewSender(path)
}

// tend gives what the writer of the history does beside recording.
func (s *serving) tend(kept *store.Store) []part {
	pruner := &server.Pruner{Store: kept, Log: s.log, Now: s.app.now, Keep: s.flags.tend.keep, Removed: s.metrics.CountPruned}
	return []part{pruner.Run, s.notifying(kept)}
}

// notifying gives what delivers alerts.
func (s *serving) notifying(kept *store.Store) part {
	f := &s.flags.tend
	notifier := &server.Notifier{Store: kept, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now, Metrics: s.metrics, Alertmanagers: f.alertmanagers,
		Webhook: f.reading(f.webhook), DeadMan: f.reading(f.deadMan), UserAgent: "bailey/" + version}
	if s.book != nil {
		notifier.Ledger = s.book.State
	}
	return func(ctx context.Context) error {
		var err error
		if notifier.External, err = s.flags.oidc.pages(); err != nil {
			return err
		}
		if notifier.WebhookClient, err = senderOf(f.webhookHTTP); err != nil {
			return err
		}
		if notifier.AlertmanagerClient, err = senderOf(f.managerHTTP); err != nil {
			return err
		}
		return notifier.Run(ctx)
	}
}

// reading gives what reads the file whenever it is needed; nil if there is none.
func (f *tendFlags) reading(path string) func() (server.Endpoint, error) {
	if path == "" {
		return nil
	}
	return func() (server.Endpoint, error) { return f.endpoint(path) }
}
