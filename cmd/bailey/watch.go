package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey/collect/alerts"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/prove"
)

// auditWatcher runs Bailey's own detections over the API server's audit log,
// from the moment that it was made.
type auditWatcher struct {
	set *detect.Set

	mu      sync.Mutex
	noticed []noticedAlert
	seen    map[string][]string // audit ID -> detections that could not tell
	log     *detect.Log
	// unread counts the lines that are no event.
	unread  int
	failure error
}

type noticedAlert struct {
	at    time.Time
	alert detect.Alert
}

// watchLimit bounds what a watcher remembers, in audit records and in alerts.
const watchLimit = 200_000

// watchAudit follows an audit log from its end on, until ctx ends.
func watchAudit(ctx context.Context, path string) (*auditWatcher, error) {
	set, err := detect.Compile()
	if err != nil {
		return nil, err
	}
	end, err := audit.End(path)
	if err != nil {
		return nil, usageError("--audit-log: %w\nhint: it is the file of the API server's --audit-log-path", err)
	}
	w := &auditWatcher{set: set, seen: map[string][]string{}, log: detect.NewLog()}
	go func() {
		err := audit.Tail(ctx, path, end, func(line []byte, _ audit.Position) error {
			w.take(line)
			return nil
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failure = err
	}()
	return w, nil
}

func (w *auditWatcher) take(line []byte) {
	event, err := detect.Decode(line, detect.DefaultLimits)
	if err != nil { // of another's making; `bailey detect` names such lines
		w.mu.Lock()
		defer w.mu.Unlock()
		w.unread++
		return
	}
	found := w.set.Match(event)
	var blind []string
	for _, d := range w.set.Blind(event) {
		blind = append(blind, d.Name)
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Add(event)
	if len(w.seen) < watchLimit {
		w.seen[event.AuditID] = blind
	}
	for _, alert := range found {
		if len(w.noticed) < watchLimit {
			w.noticed = append(w.noticed, noticedAlert{now, alert})
		}
	}
}

func (w *auditWatcher) Name() string { return "Bailey's detections" }

// auditPatience is how long an audit record and its detection may take: the log
// is written within a second.
const auditPatience = 5 * time.Second

// Await is of prove.Watcher.
func (w *auditWatcher) Await(ctx context.Context, _ string, auditIDs, detections []string, _ time.Time) (time.Time, bool, string, error) {
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	for {
		at, found, blind, err := w.look(auditIDs, detections)
		if found || err != nil {
			return at, found, "", err
		}
		select {
		case <-ctx.Done():
			return time.Time{}, false, blind, nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (w *auditWatcher) look(auditIDs, detections []string) (at time.Time, found bool, blind string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.noticed {
		if slices.Contains(detections, n.alert.Detection) && slices.ContainsFunc(n.alert.AuditIDs, func(id string) bool { return slices.Contains(auditIDs, id) }) {
			return n.at, true, "", nil
		}
	}
	recorded := 0
	for _, id := range auditIDs {
		cannot, seen := w.seen[id]
		if !seen {
			continue
		}
		recorded++
		if slices.ContainsFunc(detections, func(name string) bool { return slices.Contains(cannot, name) }) {
			blind = "the audit policy records too little of these requests"
		}
	}
	if recorded < len(auditIDs) && w.failure != nil {
		return at, false, "", fmt.Errorf("the audit log is no longer read: %w", w.failure)
	}
	if recorded == 0 {
		blind = "the audit log has no record of these requests"
	}
	return at, false, blind, nil
}

// origin is of prove.Options: whether the log holds a request that made an object.
func (w *auditWatcher) origin(resource, namespace, name string, created time.Time) (found bool, unknown string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failure != nil {
		return false, "", fmt.Errorf("the audit log is no longer read: %w", w.failure)
	}
	e, why := w.log.Explain(detect.Stored{Resource: resource, Namespace: namespace, Name: name, Created: created})
	if e == detect.Unexplained && w.unread > 0 {
		why = fmt.Sprintf("%s of the log could not be read", plural(w.unread, "line"))
	}
	return e == detect.Explained, why, nil
}

// teamWatcher asks where the team looks for its alerts.
type teamWatcher struct {
	name  string
	where alerts.Watcher
}

func (w teamWatcher) Name() string { return w.name }

// Await is of prove.Watcher: the team's alert is told by the experiment's correlation ID.
func (w teamWatcher) Await(ctx context.Context, correlation string, _, _ []string, since time.Time) (time.Time, bool, string, error) {
	at, found, err := w.where.Await(ctx, correlation, since)
	return at, found, "", err
}

// auditLogPath is the flag's, or else the configuration's; empty where there is none.
func (f *proveFlags) auditLogPath(conf *config) string {
	if f.auditLog == "" && conf.Detection.AuditLog != "" {
		return conf.relative(conf.Detection.AuditLog)
	}
	return f.auditLog
}

// watchers gives those who should notice the tries: the flags', or else the
// configuration's. Origins is nil without an audit log.
func (a *app) watchers(ctx context.Context, f *proveFlags, conf *config) (all []prove.Watcher, origins prove.Origins, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	stop = cancel
	defer func() {
		if err != nil {
			stop()
		}
	}()
	log, manager, hook := f.auditLogPath(conf), f.alertmanager, f.alertWebhook
	if manager == "" {
		manager = conf.Detection.Alertmanager
	}
	if hook == "" {
		hook = conf.Detection.Webhook
	}
	if log != "" {
		w, err := watchAudit(ctx, log)
		if err != nil {
			return nil, nil, stop, err
		}
		all, origins = append(all, w), w.origin
	}
	if manager != "" {
		if !strings.HasPrefix(manager, "http://") && !strings.HasPrefix(manager, "https://") {
			return nil, nil, stop, usageError("--alertmanager wants a URL, like http://alertmanager:9093")
		}
		all = append(all, teamWatcher{"Alertmanager", &alerts.Alertmanager{URL: manager}})
	}
	if hook != "" {
		receiver, err := alerts.Listen(hook, "")
		if err != nil {
			return nil, nil, stop, err
		}
		fmt.Fprintf(a.stderr, "Awaiting the team's alerts at %s; an alert must name the run.\n", receiver.URL())
		all = append(all, teamWatcher{"the team's webhook", receiver})
		stop = func() { cancel(); _ = receiver.Close() }
	}
	return all, origins, stop, nil
}
