package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

// tendFlags say what the server does with history beside keeping it.
type tendFlags struct {
	keep          time.Duration
	webhook       string // a file
	alertmanagers []string
	deadMan       string // a file
}

// leastKept is the shortest time that history is kept.
const leastKept = 24 * time.Hour

func (f *tendFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.DurationVar(&f.keep, "keep", 90*24*time.Hour, "how long history is kept of what is over; 0: for ever")
	flags.StringVar(&f.webhook, "alert-webhook", "", "send alerts to a webhook: a file that holds its URL and, in a second line, a key to sign with")
	flags.StringArrayVar(&f.alertmanagers, "alertmanager", nil, "send alerts to the Alertmanager at this URL; may be repeated")
	flags.StringVar(&f.deadMan, "dead-man", "", "call a URL every minute while all is well: a file that holds it")
}

func (f *tendFlags) check() error {
	if f.keep != 0 && f.keep < leastKept {
		return usageError("--keep wants a day (24h) or more, or 0 for ever")
	}
	for _, address := range f.alertmanagers {
		if err := server.CheckAlertmanager(address); err != nil {
			return usageError("--alertmanager: %w", err)
		}
	}
	for flag, path := range map[string]string{"--alert-webhook": f.webhook, "--dead-man": f.deadMan} {
		if path == "" {
			continue
		}
		if _, err := readEndpoint(path); err != nil {
			return usageError("%s wants a file that holds a URL: %w", flag, err)
		}
	}
	return nil
}

// tells reports whether somebody outside is told something.
func (f *tendFlags) tells() bool {
	return f.webhook != "" || f.deadMan != "" || len(f.alertmanagers) > 0
}

// readEndpoint reads where something is sent to. The file may be another by the next time.
func readEndpoint(path string) (server.Endpoint, error) {
	data, err := readBounded(path, 16<<10)
	if err != nil {
		return server.Endpoint{}, err
	}
	e, err := server.ParseEndpoint(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return e, err
}

// tend gives what the writer of the history does beside recording.
func (s *serving) tend(kept *store.Store) []part {
	pruner := &server.Pruner{Store: kept, Log: s.log, Now: s.app.now, Keep: s.flags.tend.keep, Removed: s.metrics.CountPruned}
	notifier := &server.Notifier{Store: kept, Loop: s.loop, News: s.news, Log: s.log, Now: s.app.now, Metrics: s.metrics, Alertmanagers: s.flags.tend.alertmanagers,
		Webhook: endpoint(s.flags.tend.webhook), DeadMan: endpoint(s.flags.tend.deadMan), UserAgent: "bailey/" + version}
	return []part{pruner.Run, notifier.Run}
}

// endpoint gives what reads the file whenever it is needed; nil if there is none.
func endpoint(path string) func() (server.Endpoint, error) {
	if path == "" {
		return nil
	}
	return func() (server.Endpoint, error) { return readEndpoint(path) }
}
