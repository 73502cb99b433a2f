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
	Find   Find
	State  string        // folder for the account; made if absent
	Settle time.Duration // DefaultSettle if zero
	Log    *slog.Logger
	Now    func() time.Time // time.Now if nil
}

// Sink takes audit events into the ledger and keeps account of them. Its methods may
// be called from several goroutines.
type Sink struct {
	append Append
	find   Find
	settle time.Duration
	log    *slog.Logger
	now    func() time.Time

	writing sync.Mutex // one at a time appends proofs

	mu       sync.Mutex
	state    *state
	counted  ranges
	accounts []*account
	pending  map[uint64]*intent // handed to the ledger
	begun    uint64             // the last one's number
	probed   map[string]bool    // nil until Probe says which
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
	s := &Sink{append: o.Append, find: o.Find, settle: o.Settle, log: o.Log, now: o.Now, state: st, counted: saved.Counted,
		accounts: saved.Accounts, pending: saved.Pending, verdicts: map[string]Verdict{}}
	if s.settle <= 0 {
		s.settle = DefaultSettle
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for number, in := range s.pending {
		s.begun = max(s.begun, number)
		in.failed = true // whoever waited for it is gone
	}
	if err := s.resolve(); err != nil {
		return nil, fmt.Errorf("what the sink had stored when it ended: %w", err)
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
	in, err := s.begin(from, events, records)
	if err != nil {
		return err
	}
	// Whoever stops waiting: what the ledger was handed it keeps, and so it must be counted.
	indexes, err := s.append(context.WithoutCancel(ctx), records...)
	if err == nil && len(indexes) != len(events) {
		err = fmt.Errorf("the ledger gave %d indexes for %d records", len(indexes), len(events))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		in.failed = true
		return errors.Join(err, s.resolve())
	}
	places := make([]int64, len(indexes))
	for i, index := range indexes {
		places[i] = int64(index)
	}
	s.finish(in, places)
	return nil
}

// begin notes what the ledger is about to be handed.
func (s *Sink) begin(from Source, events []Event, records []ledger.Record) (*intent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the sink is closed")
	}
	if err := s.resolve(); err != nil { // or what failed would grow without bound
		return nil, err
	}
	a := findAccount(&s.accounts, from.APIServer)
	if a == nil {
		return nil, fmt.Errorf("events come from more than %d API servers, or from one without a name", maxAccounts)
	}
	s.begun++
	in := &intent{Number: s.begun, Account: a.Name, FromLog: from.Log, IDs: make([]string, len(records)), Times: make([]int64, len(records))}
	for i := range events {
		e := &events[i]
		in.IDs[i], in.Times[i] = records[i].ID, pack(e.At, e.Stage == stageReceived)
		if a.knows(e.AuditID) {
			in.Own = append(in.Own, own{i, e.AuditID, e.Stage, e.Received})
		}
	}
	s.pending[in.Number] = in
	text, err := in.append(nil)
	if err == nil {
		err = s.note(text)
	}
	if err != nil {
		delete(s.pending, in.Number)
		return nil, err
	}
	return in, nil
}

// finish counts what was stored of an intent. That the journal cannot take it is no
// failure: the intent stands there, or the next line makes the state be written anew.
func (s *Sink) finish(in *intent, indexes []int64) {
	delete(s.pending, in.Number)
	a := findAccount(&s.accounts, in.Account)
	s.total += in.count(&s.counted, indexes, func(e *Event) { s.enter(a, e, in.FromLog) })
	if err := s.note(appendDone(nil, in.Number, indexes)); err != nil {
		s.log.Warn("the journal does not take what was stored; the ledger is asked should the sink end now", "error", err)
	}
}

// resolve asks the ledger what it has stored of the intents for which it gave an error.
func (s *Sink) resolve() error {
	for _, in := range s.pending {
		if !in.failed {
			continue
		}
		found, err := s.find(in.IDs...)
		if err != nil {
			return err
		}
		indexes := make([]int64, len(in.IDs))
		for i, id := range in.IDs {
			indexes[i] = absent
			if index, ok := found[id]; ok {
				indexes[i] = int64(index)
			}
		}
		s.finish(in, indexes)
	}
	return nil
}

// enter counts an event. Of an API server whose counters are not read no times are kept.
func (s *Sink) enter(a *account, e *Event, fromLog bool) {
	if s.probed != nil && !s.probed[a.Name] {
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
	text, err := json.Marshal(struct {
		Account string `json:"a"`
		Broken  bool   `json:"b"`
	}{a.Name, true})
	if err == nil {
		err = s.note(append(text, '\n'))
	}
	s.mu.Unlock()
	return errors.Join(err, s.write(ctx, apiServer))
}

// note writes a line to the journal, or the state anew where the journal cannot be used.
func (s *Sink) note(line []byte) error {
	if s.closed {
		return errors.New("the sink is closed")
	}
	if !s.state.dirty {
		if err := s.state.append(line); err == nil {
			return nil
		}
	}
	return s.save(false)
}

func (s *Sink) save(clean bool) error {
	return s.state.save(savedState{Clean: clean, Counted: s.counted, Accounts: s.accounts, Pending: s.pending})
}

// judge gives the proofs that can be given about an API server and appends them.
func (s *Sink) judge(ctx context.Context, apiServer string) error {
	s.mu.Lock()
	a := findAccount(&s.accounts, apiServer)
	if a == nil || s.closed {
		s.mu.Unlock()
		return nil
	}
	if err := s.resolve(); err != nil { // events that are stored would be named as missing
		s.mu.Unlock()
		return err
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
		// A proof that the ledger had and the account had not would be given twice.
		return fmt.Errorf("the account could not be saved, so no proof is given yet: %w", err)
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
