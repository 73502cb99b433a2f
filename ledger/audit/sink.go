package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey/ledger"
)

// DefaultSettle is how long an event may be under way before it counts as missing.
// An API server in batch mode collects for 30 s, and tries a batch five times, which
// takes up to four minutes when each try runs into its limit of 30 s.
const DefaultSettle = 6 * time.Minute

// Source says whose events a batch holds and which way they came.
type Source struct {
	APIServer string // a name for the API server, such as its node's
	Log       bool   // read from its log file, whole and in order
}

// Options are a sink's.
type Options struct {
	Append Append
	State  string        // folder for the account; made if absent
	Settle time.Duration // DefaultSettle if zero
	Log    *slog.Logger
	Now    func() time.Time // time.Now if nil
}

// Sink takes audit events into the ledger and keeps account of them. Its methods may
// be called from several goroutines.
type Sink struct {
	append Append
	settle time.Duration
	log    *slog.Logger
	now    func() time.Time

	writing sync.Mutex // one at a time appends proofs

	mu       sync.Mutex
	state    *state
	counted  ranges
	accounts []*account
	probed   map[string]bool
	closed   bool
	verdicts map[string]Verdict // the last one, by API server
	total    uint64
}

// NewSink opens the state folder and goes on with the account that it holds. One
// process at a time may use it; the ledger's lock sees to that.
func NewSink(o Options) (*Sink, error) {
	st, saved, err := openState(o.State)
	if err != nil {
		return nil, err
	}
	s := &Sink{append: o.Append, settle: o.Settle, log: o.Log, now: o.Now, state: st,
		counted: saved.Counted, accounts: saved.Accounts, probed: map[string]bool{}, verdicts: map[string]Verdict{}}
	if s.settle <= 0 {
		s.settle = DefaultSettle
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.save(false); err != nil {
		return nil, fmt.Errorf("the sink's state: %w", err)
	}
	return s, nil
}

// EventError says which of a batch is no event. Nothing of the batch was taken.
type EventError struct {
	Position int // in the batch, from 0
	Err      error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("event %d of the batch: %v", e.Position, e.Err)
}
func (e *EventError) Unwrap() error { return e.Err }

// Take appends audit events, each a JSON object, and returns once they are durable.
// After an error some of them may be; taken again they are kept once.
func (s *Sink) Take(ctx context.Context, from Source, events []json.RawMessage) error {
	parsed := make([]Event, len(events))
	for i, raw := range events {
		var err error
		if parsed[i], err = ParseEvent(raw); err != nil {
			return &EventError{i, err}
		}
	}
	return s.take(ctx, from, parsed)
}

// take is Take for events that were parsed already.
func (s *Sink) take(ctx context.Context, from Source, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	records := make([]ledger.Record, len(events))
	for i := range events {
		records[i] = ledger.Record{ID: events[i].RecordID(), Data: events[i].Raw}
	}
	// Whoever stops waiting: what the ledger was handed it keeps, and so it must be counted.
	indexes, err := s.append(context.WithoutCancel(ctx), records...)
	if err != nil {
		return err
	}
	if len(indexes) != len(events) {
		return fmt.Errorf("the ledger gave %d indexes for %d records", len(indexes), len(events))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := findAccount(&s.accounts, from.APIServer)
	if a == nil {
		return fmt.Errorf("events come from more than %d API servers, or from one without a name", maxAccounts)
	}
	n := note{Account: a.Name, FromLog: from.Log}
	for i := range events {
		e := &events[i]
		if !s.counted.add(indexes[i]) {
			continue
		}
		s.total++
		if a.knows(e.AuditID) {
			n.Own = append(n.Own, ownEvent{indexes[i], e.AuditID, e.Stage, e.Received, e.At})
		} else {
			n.Events = append(n.Events, [2]int64{int64(indexes[i]), pack(e.At, e.Stage == stageReceived)})
		}
		s.enter(a, e, from.Log)
	}
	if len(n.Events)+len(n.Own) == 0 {
		return s.settled()
	}
	return s.note(&n)
}

// enter counts an event. Of an API server whose counters are not read no times are kept.
func (s *Sink) enter(a *account, e *Event, fromLog bool) {
	if !s.probed[a.Name] {
		a.Received++
		a.Base++
		return
	}
	a.event(e, fromLog)
}

// Break says that lines of an API server's log may be missing: the file was cut
// short, or rotated away before it was read.
func (s *Sink) Break(ctx context.Context, apiServer, why string) error {
	s.mu.Lock()
	a := findAccount(&s.accounts, apiServer)
	if a == nil {
		s.mu.Unlock()
		return fmt.Errorf("there are more than %d API servers", maxAccounts)
	}
	a.Breaks++
	now := s.now()
	a.Unwritten = append(a.Unwritten, Proof{Kind: ProofKind, APIServer: a.Name, From: a.judgedTo(), To: now.UTC(), Written: now.UTC(),
		Verdict: Unknown, Basis: byLog, Why: why})
	err := s.note(&note{Account: a.Name, Broken: true})
	s.mu.Unlock()
	return errors.Join(err, s.write(ctx, apiServer))
}

// note writes to the journal, or the state anew where the journal cannot be used.
func (s *Sink) note(n *note) error {
	if s.closed {
		return errors.New("the sink is closed")
	}
	if !s.state.dirty {
		if err := s.state.append(n); err == nil {
			return nil
		}
	}
	return s.save(false)
}

// settled makes sure that what was counted is noted: an earlier note may have failed.
func (s *Sink) settled() error {
	if s.state.dirty {
		return s.save(false)
	}
	return nil
}

func (s *Sink) save(clean bool) error {
	return s.state.save(savedState{Clean: clean, Counted: s.counted, Accounts: s.accounts})
}

// judge gives the proofs that can be given about an API server and appends them.
func (s *Sink) judge(ctx context.Context, apiServer string) error {
	s.mu.Lock()
	a := findAccount(&s.accounts, apiServer)
	if a == nil || s.closed {
		s.mu.Unlock()
		return nil
	}
	if !s.probed[apiServer] && a.Trouble == "" {
		a.Trouble = "its counters are not read"
	}
	proofs := a.judge(s.now(), s.settle)
	a.Unwritten = append(a.Unwritten, proofs...)
	for _, p := range proofs {
		s.tell(p)
	}
	err := s.save(false)
	s.mu.Unlock()
	if err != nil {
		s.log.Warn("the account could not be saved; the journal goes on", "error", err)
	}
	return s.write(ctx, apiServer)
}

// tell logs what is not as it should be, and when it is again.
func (s *Sink) tell(p Proof) {
	attrs := []any{"apiServer", p.APIServer, "from", p.From.Format(time.RFC3339), "to", p.To.Format(time.RFC3339)}
	if p.Missing != nil {
		attrs = append(attrs, "least", p.Missing.Least)
		if p.Missing.Most != nil {
			attrs = append(attrs, "most", *p.Missing.Most)
		}
	}
	if p.Why != "" {
		attrs = append(attrs, "why", p.Why)
	}
	switch {
	case p.Verdict == Gap:
		s.log.Error("audit events are missing", attrs...)
	case p.Verdict == Unknown:
		s.log.Warn("it is not known whether audit events are missing", attrs...)
	case s.verdicts[p.APIServer] != None:
		s.log.Info("no audit event is missing", append(attrs, "received", p.Received)...)
	}
	s.verdicts[p.APIServer] = p.Verdict
}

// write appends the proofs that are not in the ledger yet.
func (s *Sink) write(ctx context.Context, apiServer string) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	a := findAccount(&s.accounts, apiServer)
	proofs := slices.Clone(a.Unwritten)
	s.mu.Unlock()
	if len(proofs) == 0 {
		return nil
	}
	records := make([]ledger.Record, len(proofs))
	for i, p := range proofs {
		data, err := json.Marshal(p)
		if err != nil {
			return err
		}
		records[i] = ledger.Record{ID: fmt.Sprintf("audit-proof/%s/%d/%d/%s", p.APIServer, p.From.UnixMicro(), p.To.UnixMicro(), p.Verdict), Data: data}
	}
	indexes, err := s.append(ctx, records...)
	if err != nil {
		return fmt.Errorf("the ledger did not take a proof, which is tried again: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Unwritten = slices.Delete(a.Unwritten, 0, len(proofs))
	for _, i := range indexes {
		s.counted.add(i)
	}
	return s.save(false)
}

// Total is how many distinct events were taken since the sink was opened.
func (s *Sink) Total() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Close gives the last proofs and saves the account. Nothing is taken after it.
func (s *Sink) Close(ctx context.Context) error {
	var errs []error
	s.mu.Lock()
	names := s.names()
	s.mu.Unlock()
	for _, name := range names {
		errs = append(errs, s.judge(ctx, name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(errs...)
	}
	s.closed = true
	errs = append(errs, s.save(true))
	s.state.close()
	return errors.Join(errs...)
}

func (s *Sink) names() []string {
	var names []string
	for _, a := range s.accounts {
		names = append(names, a.Name)
	}
	return names
}
