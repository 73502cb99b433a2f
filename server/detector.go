package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/store"
)

// Detector follows the audit log of an API server, and raises alerts of what detections tell of it.
// Requests that Bailey itself makes raise none. It goes on where it was when the process
// ends and another begins.
type Detector struct {
	o DetectorOptions
	// own are the audit IDs of requests that Bailey made, with when the log has it that the one came
	// in: each counts for the first request that bears it. Who reads the log may learn of an ID and
	// send it himself, for the same request and within a minute, but he comes second. What remains is
	// who learns of one from elsewhere before the log has it (that of another API server, or the API
	// server's own).
	own  *lru.Cache[string, time.Time]
	late bool // an ID was seen that does not hold any more, or not yet; it is told once

	mu       sync.Mutex
	state    DetectionState
	blind    map[string]bool
	noted    uint64    // events that were looked at
	unjudged time.Time // when a line was last that could not be judged
	hidden   time.Time // when something was last sent that is not read
	hider    string    // who sent what
}

// DetectorOptions are what a Detector is made of.
type DetectorOptions struct {
	// Path is the file of the API server's --audit-log-path.
	Path string
	// Load gives what Save was handed last, by whichever process: how far the log was read; empty at first.
	Load func() ([]byte, error)
	Save func([]byte) error
	// Hallmark knows the requests that Bailey makes.
	Hallmark *Hallmark
	// Rate bounds the requests a second that experiments make.
	Rate int
	Loop *Loop
	News *News
	Log  *slog.Logger
	Now  func() time.Time
}

// DetectionState is how the audit log is followed.
type DetectionState struct {
	// Since is from when on the log is read; zero before.
	Since time.Time `json:"since,omitzero"`
	// Problem says why the log is not read now, or what of it was not.
	Problem string `json:"problem,omitempty"`
	// Blind names the detections that could not tell of some request, because the audit policy
	// records too little of it.
	Blind []string `json:"blind,omitempty"`
	// Unreadable counts lines that could not be judged: they are no event.
	Unreadable int `json:"unreadable,omitempty"`
	// Cut counts requests that were judged without what was sent, which is larger or deeper than is
	// read, although some detection reads it.
	Cut int `json:"cut,omitempty"`
}

const (
	// flushEvery is how often what was told is kept, and markEvery how often how far the log was
	// read is.
	flushEvery = 500 * time.Millisecond
	markEvery  = 5 * time.Second
	// readAgain is the wait before a log that cannot be read is tried again.
	readAgain = 5 * time.Second
	// lastWrite bounds what is kept at the end.
	lastWrite = 2 * time.Second
	// waitingMost bounds the detections that wait to be kept; the log is not read on meanwhile.
	waitingMost = 10_000
	// recallMost bounds what is read again at the start, in bytes: some ten thousand events.
	recallMost = 32 << 20
	auditKey   = "staleness/audit"
)

// NewDetector makes a detector.
func NewDetector(o DetectorOptions) *Detector {
	// An ID holds for a while before and after its time, and must not be forgotten meanwhile.
	own, err := lru.New[string, time.Time](max(ownLeast, o.Rate*int(2*idHolds/time.Second)))
	if err != nil {
		panic(err) // the size is above zero
	}
	return &Detector{o: o, own: own, blind: map[string]bool{}}
}

// State says how the audit log is followed.
func (d *Detector) State() DetectionState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state
	for _, x := range detect.All() { // in the order of the documentation
		if d.blind[x.Name] {
			s.Blind = append(s.Blind, x.Name)
		}
	}
	return s
}

// Describe is of prometheus.Collector.
func (d *Detector) Describe(to chan<- *prometheus.Desc) {
	to <- auditEventsMetric
	to <- auditUnreadMetric
}

var (
	auditEventsMetric = prometheus.NewDesc("bailey_audit_events_total", "Events of the audit log that detections looked at.", nil, nil)
	auditUnreadMetric = prometheus.NewDesc("bailey_audit_unread", "1 if the audit log is not read now, or a part of it was lost or could not be judged within the last hour.", nil, nil)
)

// Collect is of prometheus.Collector.
func (d *Detector) Collect(to chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	unread := 0.0
	if d.state.Problem != "" {
		unread = 1
	}
	to <- prometheus.MustNewConstMetric(auditEventsMetric, prometheus.CounterValue, float64(d.noted))
	to <- prometheus.MustNewConstMetric(auditUnreadMetric, prometheus.GaugeValue, unread)
}

// following is a detector at work.
type following struct {
	*Detector
	raiser *Raiser
	set    *detect.Set
	known  *detections
	stale  bool // whether the alert about the log lasts

	from    audit.Position // up to which what was told is kept
	marked  audit.Position
	marking time.Time
	waiting []detect.Alert
	read    audit.Position
	failing time.Time // since when the log is not read; zero while it is
	lost    time.Time // when a part of it was lost
	why     string
}

// readLine is a line of the log, or why there are no more.
type readLine struct {
	told  []detect.Alert
	after audit.Position
	err   error
}

// Run follows the log until ctx ends, and raises alerts in a store.
func (d *Detector) Run(ctx context.Context, kept *store.Store) error {
	from, placed, lost, err := d.begin()
	if err != nil {
		return err
	}
	set, err := detect.Compile()
	if err != nil {
		return err
	}
	f := &following{Detector: d, raiser: &Raiser{Store: kept, Loop: d.o.Loop, News: d.o.News, Log: d.o.Log, Now: d.o.Now}, set: set, from: from}
	f.read, f.marked = f.from, f.from
	switch {
	case placed:
		f.recall(ctx)
	case lost:
		f.lost, f.why = d.o.Now(), placeUnknown
	}
	lines := make(chan readLine)
	go f.tail(ctx, lines)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		in := lines
		if len(f.waiting) >= waitingMost {
			in = nil
		}
		select {
		case line := <-in:
			f.take(line)
			continue
		case <-tick.C:
			err = f.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := errors.Join(f.flush(last), f.mark(d.o.Now(), true)); err != nil {
				d.o.Log.Error("what the audit log told last could not be kept: it is read again at the next start", "error", err)
			}
			return ctx.Err()
		}
		switch {
		case errors.Is(err, store.ErrFenced):
			return err
		case err != nil && ctx.Err() == nil:
			f.known = nil // what the store holds is to be read again
			d.o.Log.Error("what the audit log told could not be kept, and will be tried again", "error", err)
			pause(ctx, takeAgain)
		}
	}
}

// takeAgain is the wait after what was told could not be kept.
const takeAgain = 2 * time.Second

// placeUnknown is said where a process has left no place that can be read.
const placeUnknown = "the place up to which the audit log was read is not known: it is read from its end on, and events before it may be missing"

// begin gives the place from which to read: where the process before was, or the log's end; then
// placed is false, and lost tells that there should have been one.
func (d *Detector) begin() (p audit.Position, placed, lost bool, err error) {
	data, err := d.o.Load()
	if err != nil {
		return p, false, false, err
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &p); err == nil {
			return p, true, false, nil
		}
		d.o.Log.Warn(placeUnknown)
	}
	p, err = audit.End(d.o.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // an API server that was not started yet
	}
	return p, false, len(data) > 0, err
}

// recall reads again the end of what was read before, so that bursts which had begun are counted on,
// and audit IDs of Bailey's own requests count no second time. What it tells was told.
func (f *following) recall(ctx context.Context) {
	err := audit.Before(ctx, f.o.Path, f.from, recallMost, func(line []byte, long *audit.LongLineError) error {
		var e *detect.Event
		var err error
		if long == nil {
			e, err = detect.Decode(line, detect.DefaultLimits)
		} else {
			e, err = detect.DecodeRest(long.Rest, long.Cut, detect.DefaultLimits)
		}
		if err == nil && !f.made(e) {
			f.set.Match(e)
		}
		return nil
	})
	var lost *audit.LostError
	if err != nil && ctx.Err() == nil && !errors.As(err, &lost) { // that it is lost is told by who reads on
		f.o.Log.Warn("bursts that had begun before are not counted on", "error", err)
	}
}

// tail reads lines until ctx ends.
func (f *following) tail(ctx context.Context, to chan<- readLine) {
	from := f.from
	tell := func(l readLine) error {
		select {
		case to <- l:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for ctx.Err() == nil {
		err := audit.Tail(ctx, f.o.Path, from, func(line []byte, after audit.Position) error {
			l := readLine{after: after, told: f.judge(detect.Decode(line, detect.DefaultLimits))}
			from = after
			return tell(l)
		})
		var long *audit.LongLineError
		var lost *audit.LostError
		switch {
		case errors.As(err, &long):
			from = long.Next
			_ = tell(readLine{after: from, told: f.judge(detect.DecodeRest(long.Rest, long.Cut, detect.DefaultLimits))})
			continue
		case errors.As(err, &lost):
			oldest, oldestErr := audit.Oldest(f.o.Path)
			if oldestErr == nil {
				from = oldest
				_ = tell(readLine{after: from, err: lost})
				continue
			}
			err = oldestErr
		}
		if tell(readLine{after: from, err: err}) != nil || !pause(ctx, readAgain) {
			return
		}
	}
}

// judge gives what detections tell of a line that was decoded, or could not be.
func (f *following) judge(e *detect.Event, err error) []detect.Alert {
	if err != nil {
		f.unreadable()
		return nil
	}
	if f.made(e) {
		return nil
	}
	blind := f.set.Blind(e)
	f.mu.Lock()
	f.noted++
	switch {
	case !e.Cut:
		for _, x := range blind {
			f.blind[x.Name] = true
		}
	case len(blind) > 0:
		f.state.Cut++
		f.hidden, f.hider = f.o.Now(), hiderOf(e, blind)
	}
	f.mu.Unlock()
	return f.set.Match(e)
}

// hiderOf says who sent what is not read, and which detections do not tell of it.
func hiderOf(e *detect.Event, blind []*detect.Detection) string {
	names := make([]string, len(blind))
	for i, x := range blind {
		names[i] = x.Name
	}
	return fmt.Sprintf("%s: %s %s %s at %s (audit ID %s), of which %s cannot tell", clip(e.User.Username, keyMost), e.Verb, e.Object.Path(),
		strings.Trim(e.Object.Namespace+"/"+e.Object.Name, "/"), e.Time().UTC().Format(time.RFC3339), clip(e.AuditID, auditIDMost), strings.Join(names, ", "))
}

func (f *following) unreadable() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Unreadable++
	f.unjudged = f.o.Now()
}

// take takes in what was read.
func (f *following) take(l readLine) {
	f.read = l.after
	var lost *audit.LostError
	switch {
	case errors.As(l.err, &lost):
		f.lost, f.why = f.o.Now(), l.err.Error()
		f.o.Log.Error("a part of the audit log was not read", "error", l.err)
		return
	case l.err != nil:
		if f.failing.IsZero() {
			f.failing = f.o.Now()
			f.o.Log.Error("the audit log cannot be read, and will be tried again", "error", l.err)
		}
		f.why = l.err.Error()
		return
	}
	f.failing = time.Time{}
	f.waiting = append(f.waiting, l.told...)
}

// flush keeps what was told.
func (f *following) flush(ctx context.Context) error {
	now := f.o.Now()
	uid := f.o.Loop.Cluster()
	problem := f.unread(now)
	f.show(problem, now)
	if uid == "" || !f.o.Loop.Sight().Ready {
		return nil
	}
	if err := f.know(ctx, uid); err != nil {
		return err
	}
	changes := f.known.take(f.waiting, now)
	if f.failing.IsZero() {
		changes = append(changes, f.known.rest(now)...)
	}
	for _, c := range changes {
		if err := f.raiser.do(ctx, uid, now, c); err != nil {
			return err
		}
	}
	f.waiting, f.from = nil, f.read
	if err := f.watchLog(ctx, uid, problem, now); err != nil {
		return err
	}
	return f.mark(now, len(changes) > 0)
}

// know reads from the store which alerts last.
func (f *following) know(ctx context.Context, uid string) error {
	if f.known != nil {
		return nil
	}
	known := &detections{open: map[string]*lasting{}}
	stale := false
	err := eachKept(func(after string) (string, error) {
		page, err := f.raiser.Store.Alerts(ctx, store.AlertQuery{Cluster: uid, Access: store.Everything(), Limit: loadPage, After: after})
		if errors.Is(err, store.ErrNotFound) {
			return "", nil // the recorder makes the cluster first
		}
		for i := range page.Items {
			l := &lasting{alert: page.Items[i], doc: docOf(&page.Items[i]), told: page.Items[i].Last}
			stale = stale || l.alert.Key == auditKey
			if l.alert.Kind == store.AlertDetection && l.doc.Seen != nil {
				known.open[l.alert.Key] = l
			}
		}
		return page.Next, err
	})
	if err == nil {
		f.known, f.stale = known, stale
	}
	return err
}

// unread says what of the log is not read, or was not; empty while all is.
func (f *following) unread(now time.Time) string {
	switch {
	case !f.failing.IsZero():
		return "the audit log has not been read since " + f.failing.UTC().Format(time.RFC3339) + ": " + f.why
	case !f.lost.IsZero() && now.Sub(f.lost) < detectionHold:
		return f.why
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unjudged.IsZero() && now.Sub(f.unjudged) < detectionHold {
		return fmt.Sprintf("%d %s of the audit log could not be judged, the last at %s: no event, which is a way to hide",
			f.state.Unreadable, pluralOf(f.state.Unreadable, "line"), f.unjudged.UTC().Format(time.RFC3339))
	}
	if !f.hidden.IsZero() && now.Sub(f.hidden) < detectionHold {
		return fmt.Sprintf("what was sent with %d %s was not judged, since it is larger or deeper than is read, which is a way to hide; the last by %s",
			f.state.Cut, pluralOf(f.state.Cut, "request"), f.hider)
	}
	return ""
}

// show says how the log is followed.
func (f *following) show(problem string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Problem = problem
	if f.state.Since.IsZero() && problem == "" {
		f.state.Since = now
	}
}

// watchLog raises an alert when the log is not read for a while, or a part of it was lost or could
// not be judged.
func (f *following) watchLog(ctx context.Context, uid, problem string, now time.Time) error {
	a := store.Alert{Key: auditKey, Kind: store.AlertStaleness, Severity: bailey.SeverityHigh, Title: "The audit log is not read whole"}
	switch {
	case problem == "" && f.stale:
		if err := f.raiser.do(ctx, uid, now, alertChange{alertEnd, a}); err != nil {
			return err
		}
		f.stale = false
	case problem != "" && !f.stale && (f.failing.IsZero() || now.Sub(f.failing) >= sightHold):
		a.Text = clip(fmt.Sprintf("What happened meanwhile raises no alert: %s", problem), alertTextMost)
		doc := alertDoc{Since: now}
		a.Doc = doc.text()
		if err := f.raiser.do(ctx, uid, now, alertChange{alertRaise, a}); err != nil {
			return err
		}
		f.stale = true
	}
	return nil
}

// mark keeps how far the log was read and what it told is kept.
func (f *following) mark(now time.Time, soon bool) error {
	if f.from == f.marked || !soon && now.Sub(f.marking) < markEvery {
		return nil
	}
	data, err := json.Marshal(f.from)
	if err != nil {
		return err
	}
	if err := f.o.Save(data); err != nil {
		return fmt.Errorf("how far the audit log was read: %w", err)
	}
	f.marked, f.marking = f.from, now
	return nil
}
