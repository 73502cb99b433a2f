package audit

import (
	"slices"
	"time"
)

const (
	// slack is how long, in microseconds, the API server may take between noting an
	// event's time and counting it: two statements that follow each other.
	slack = 5_000
	// receivedSlack is the same for the stage RequestReceived, whose time is that of
	// the request's arrival: it is counted after authentication.
	receivedSlack = 2_000_000
	// mostRecent bounds the times that one account keeps: 16 minutes at 4,000 a second.
	mostRecent = 4 << 20
	// mostOpen bounds the readings that wait for an answer.
	mostOpen = 512
)

// reading is one look at an API server's counters. Its own audit event, which comes
// like all others, says between which moments of the API server's clock the counters
// were read.
type reading struct {
	AuditID  string    `json:"auditID"`  // chosen by us, so that the event may come before the answer
	Asked    time.Time `json:"asked"`    // by our clock
	Counters Counters  `json:"counters"` // Start is 0 until they are known

	// From the reading's own event: when its request came and when it was answered,
	// in microseconds. Resolved says that they and the counters are known.
	From     int64 `json:"from,omitempty"`
	To       int64 `json:"to,omitempty"`
	Resolved bool  `json:"resolved,omitempty"`
	// OwnReceived says that its RequestReceived event has come: it was surely counted,
	// although it bears the time From.
	OwnReceived bool `json:"ownReceived,omitempty"`
	// OwnComplete says that its ResponseComplete event came before the counters: it was
	// surely not counted, although it bears the time To.
	OwnComplete bool `json:"ownComplete,omitempty"`

	// Of the events counted when the counters were read, at least Low and at most High
	// have not come. They differ by the events whose time does not say on which side of
	// the reading they were counted.
	Low  int64 `json:"low"`
	High int64 `json:"high"`
	// Received is how many events had come when the reading was resolved, all in all.
	Received uint64 `json:"received"`

	// InLog says that its event was read from the log file; Breaks is how often the
	// log had been interrupted by then.
	InLog  bool   `json:"inLog,omitempty"`
	Breaks uint64 `json:"breaks,omitempty"`
}

// cut is the time before which an event was surely counted by the reading.
func (r *reading) cut(received bool) int64 {
	if received {
		return r.From - receivedSlack
	}
	return r.From - slack
}

// add enters the time of an event that has come.
func (r *reading) add(at int64, received bool) {
	switch {
	case at < r.cut(received):
		r.Low--
		r.High--
	case at <= r.To:
		r.Low--
	}
}

// account is what one API server said and what has come from it. Its methods read no
// clock and do no input or output, so that a test can play any story to it.
type account struct {
	Name   string     `json:"name"`
	Judged *reading   `json:"judged,omitempty"` // up to here there are proofs
	Open   []*reading `json:"open,omitempty"`   // later ones, in their order

	Received uint64  `json:"received"` // distinct events, all in all
	Base     uint64  `json:"base"`     // of these, the ones before Horizon
	Horizon  int64   `json:"horizon"`
	Recent   []int64 `json:"recent,omitempty"` // times of the others, doubled; odd at RequestReceived

	Late     uint64   `json:"late,omitempty"` // came after their time had been judged
	Breaks   uint64   `json:"breaks,omitempty"`
	Canaries []canary `json:"canaries,omitempty"`
	// CanarySeen says that a canary has arrived once: the audit policy records them.
	CanarySeen bool    `json:"canarySeen,omitempty"`
	Trouble    string  `json:"trouble,omitempty"`   // why the last reading failed, if it did
	Unwritten  []Proof `json:"unwritten,omitempty"` // proofs that the ledger has not taken yet

	// Why the account begins anew, when it does, and up to when there had been proofs.
	Fresh     string    `json:"fresh,omitempty"`
	FreshFrom time.Time `json:"freshFrom,omitzero"`
	Since     time.Time `json:"since"` // when the last answer was given, by our clock
}

// canary is a request made so that its event can be awaited.
type canary struct {
	AuditID string    `json:"auditID"`
	Sent    time.Time `json:"sent"`
	Arrived bool      `json:"arrived,omitempty"`
}

// event enters a distinct event; fromLog says that it was read from the log file.
func (a *account) event(e *Event, fromLog bool) {
	received := e.Stage == stageReceived
	if a.Judged != nil {
		if e.At < a.Judged.cut(received) {
			a.Late++
		}
		a.Judged.event(e)
	}
	var own *reading
	for _, r := range a.Open {
		if r.Resolved {
			r.event(e)
		} else if r.AuditID == e.AuditID {
			own = r
		}
	}
	for i := range a.Canaries {
		if a.Canaries[i].AuditID == e.AuditID {
			a.Canaries[i].Arrived, a.CanarySeen = true, true
		}
	}
	if own != nil && received {
		own.OwnReceived = true
	}
	if own != nil && e.Stage == stageComplete {
		own.From, own.To = e.Received, e.At
		own.InLog, own.Breaks = fromLog, a.Breaks
		own.OwnComplete = own.Counters.Start == 0
		a.resolve(own)
	}
	a.Received++
	if e.At < a.Horizon {
		a.Base++
	} else if a.Recent = append(a.Recent, pack(e.At, received)); len(a.Recent) > mostRecent {
		a.reset("more events came than are kept without a reading of the counters whose own event came")
	}
}

// knows reports whether the event of this audit ID is awaited.
func (a *account) knows(auditID string) bool {
	for _, r := range a.Open {
		if r.AuditID == auditID {
			return true
		}
	}
	for i := range a.Canaries {
		if a.Canaries[i].AuditID == auditID {
			return true
		}
	}
	return false
}

// pack makes one number of a time and of whether the stage is RequestReceived.
func pack(at int64, received bool) int64 {
	at <<= 1
	if received {
		at |= 1
	}
	return at
}

// event enters an event that comes after the reading was resolved.
func (r *reading) event(e *Event) {
	received := e.Stage == stageReceived
	if received && e.AuditID == r.AuditID && e.At == r.From {
		r.Low--
		r.High--
		return
	}
	r.add(e.At, received)
}

// resolve compares a reading with the events that have come, once its counters and
// its own event are known.
func (a *account) resolve(r *reading) {
	if r.To == 0 || r.Counters.Start == 0 {
		return
	}
	r.Resolved, r.Received = true, a.Received
	missing := int64(r.Counters.Events) - int64(a.Base)
	r.Low, r.High = missing, missing
	own, end := r.OwnReceived, r.OwnComplete
	for _, packed := range a.Recent {
		at, received := packed>>1, packed&1 == 1
		switch {
		case own && received && at == r.From:
			own = false // it was surely counted
			r.Low--
			r.High--
		case end && !received && at == r.To:
			end = false // surely counted by later readings only
		default:
			r.add(at, received)
		}
	}
	if r.From == 0 || r.To < r.From || a.Horizon > r.cut(true) {
		// Events that it would have to tell apart are no longer kept, or the API server's
		// clock was set back.
		a.drop(r)
		return
	}
	a.prune()
}

func (a *account) drop(r *reading) {
	a.Open = slices.DeleteFunc(a.Open, func(o *reading) bool { return o == r })
}

// prune forgets the times that no reading will have to be compared with: those
// before the newest resolved one that no unresolved one precedes.
func (a *account) prune() {
	last := a.Judged
	for _, r := range a.Open {
		if !r.Resolved {
			break
		}
		last = r
	}
	if last == nil || last.From-receivedSlack <= a.Horizon {
		return
	}
	a.Horizon = last.From - receivedSlack
	a.Recent = slices.DeleteFunc(a.Recent, func(packed int64) bool {
		old := packed>>1 < a.Horizon
		if old {
			a.Base++
		}
		return old
	})
}

// reset begins the account anew; the next proof says since when and why.
func (a *account) reset(why string) {
	*a = account{Name: a.Name, Received: a.Received, Base: a.Received, Breaks: a.Breaks,
		Canaries: a.Canaries, CanarySeen: a.CanarySeen, Since: a.Since, Fresh: why, FreshFrom: a.judgedTo(),
		Horizon: a.Horizon, Unwritten: a.Unwritten}
}

// judgedTo is up to when there are proofs.
func (a *account) judgedTo() time.Time {
	if a.Judged == nil {
		return a.FreshFrom
	}
	return moment(a.Judged.To)
}

// ask begins a reading.
func (a *account) ask(auditID string, now time.Time) {
	if len(a.Open) >= mostOpen {
		a.Open = slices.Delete(a.Open, 0, 1)
	}
	a.Open = append(a.Open, &reading{AuditID: auditID, Asked: now})
}

// answer enters what a reading brought: the counters, or why there are none.
func (a *account) answer(auditID string, c Counters, err error) {
	a.Trouble = ""
	var r *reading
	before := a.Judged
	for _, o := range a.Open {
		if o.AuditID == auditID {
			r = o
			break
		}
		if o.Counters.Start != 0 {
			before = o
		}
	}
	switch {
	case r == nil: // a reset came between
	case err != nil:
		a.Trouble = err.Error()
		a.drop(r)
	case before != nil && c.Start < before.Counters.Start:
		a.Trouble = "the counters of several API servers are read under one address: give each its own"
		a.drop(r)
	default:
		r.Counters = c
		a.resolve(r)
	}
}

// forget drops a canary that was perhaps never made.
func (a *account) forget(auditID string) {
	a.Canaries = slices.DeleteFunc(a.Canaries, func(c canary) bool { return c.AuditID == auditID && !c.Arrived })
}
