package audit

import (
	"fmt"
	"time"
)

// Verdict is the answer to whether events are missing.
type Verdict string

// The verdicts.
const (
	None    Verdict = "none"    // nothing is missing
	Gap     Verdict = "gap"     // events are missing
	Unknown Verdict = "unknown" // it cannot be told; Why says why
)

// Proof says whether events of one API server are missing between two moments of
// its clock. It is a record of the ledger, and so under its signed checkpoint.
type Proof struct {
	Kind      string    `json:"kind"` // ProofKind
	APIServer string    `json:"apiServer"`
	From      time.Time `json:"from,omitzero"` // not given where the account begins
	To        time.Time `json:"to"`
	// The counters were read between FromSince and From, and between ToSince and To: events
	// of these times may be on either side.
	FromSince time.Time `json:"fromSince,omitzero"`
	ToSince   time.Time `json:"toSince,omitzero"`
	Verdict   Verdict   `json:"verdict"`
	Basis     string    `json:"basis,omitempty"` // counters, log or canaries: what the verdict rests on
	Why       string    `json:"why,omitempty"`

	// Missing bounds how many events are missing; without Most there is no bound.
	Missing *Missing `json:"missing,omitempty"`
	// Counted is by how much the API server's counter of events grew, Received how many
	// distinct events came meanwhile. They differ by what was under way at both ends.
	Counted  uint64 `json:"counted,omitempty"`
	Received uint64 `json:"received"`
	// Dropped is what the API server says itself that it gave up on, by plugin. What it
	// gave up on may have arrived, if only the answer was lost.
	Dropped map[string]uint64 `json:"dropped,omitempty"`
	// Rejected are requests that the API server refused since it could not audit them.
	Rejected uint64 `json:"rejected,omitempty"`
	// Late are events that came after their time had been judged: a gap named before is
	// smaller by so many.
	Late     uint64    `json:"late,omitempty"`
	Canaries Canaries  `json:"canaries"`
	Written  time.Time `json:"written"` // by the sink's clock
}

// ProofKind marks a proof among the records.
const ProofKind = "AuditCompleteness"

// Missing is a range of numbers of events.
type Missing struct {
	Least uint64  `json:"least"`
	Most  *uint64 `json:"most,omitempty"`
}

// Canaries are the requests that were made so that their events could be awaited.
type Canaries struct {
	Sent    int             `json:"sent"`
	Arrived int             `json:"arrived"`
	Missing []MissingCanary `json:"missing,omitempty"` // the first ten
}

// MissingCanary is a request whose event did not come.
type MissingCanary struct {
	AuditID string    `json:"auditID"`
	Sent    time.Time `json:"sent"` // by the sink's clock
}

// The bases of a verdict.
const (
	byCounters = "counters"
	byLog      = "log"
	byCanaries = "canaries"
)

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// judge gives the proofs that can be given now. An event may be under way for as
// long as settle before it counts as missing.
func (a *account) judge(now time.Time, settle time.Duration) []Proof {
	if a.Since.IsZero() {
		a.Since = now
	}
	unseen := a.dropStale(now, settle)
	var proofs []Proof
	for {
		p, ok := a.next(now, settle)
		if !ok {
			break
		}
		a.Since = now
		proofs = append(proofs, p)
	}
	if now.Sub(a.Since) >= settle {
		proofs = append(proofs, a.unanswered(now, settle, unseen))
		a.Since = now
	}
	for i := range proofs {
		proofs[i].Kind, proofs[i].APIServer, proofs[i].Written = ProofKind, a.Name, now.UTC()
	}
	return proofs
}

// dropStale gives up on readings whose own event does not come, and returns the last.
func (a *account) dropStale(now time.Time, settle time.Duration) *reading {
	var last *reading
	kept := a.Open[:0]
	for _, r := range a.Open {
		if !r.Resolved && now.Sub(r.Asked) >= settle {
			last = r
			continue
		}
		kept = append(kept, r)
	}
	a.Open = kept
	if last != nil {
		a.prune()
	}
	return last
}

// next gives one proof and goes on to where it ends, or says that there is none yet.
func (a *account) next(now time.Time, settle time.Duration) (Proof, bool) {
	if a.Judged == nil {
		for i, r := range a.Open {
			if !r.Resolved {
				continue
			}
			why := a.Fresh
			if why == "" {
				why = "the account begins here: nothing is said about what was before"
			}
			p := Proof{From: a.FreshFrom, To: moment(r.To), Verdict: Unknown, Why: why}
			a.Fresh, a.FreshFrom = "", time.Time{}
			return a.conclude(i, p), true
		}
		return Proof{}, false
	}
	var same []int // of the resolved readings of the same process, the place in Open
	other := -1
	waiting := false
	for i, r := range a.Open {
		switch {
		case r.Counters.Start != a.Judged.Counters.Start:
			if r.Resolved && other < 0 {
				other = i
			}
		case r.Resolved:
			same = append(same, i)
		default:
			waiting = true
		}
	}
	if len(same) > 0 {
		return a.compare(now, settle, same)
	}
	if other < 0 || waiting {
		return Proof{}, false
	}
	r := a.Open[other]
	p := a.between(r)
	if a.inLog(r) {
		p.Verdict, p.Basis, p.Missing = None, byLog, exactly(0)
		p.Why = "the API server restarted; every line of its log was read"
	} else {
		p.Verdict = Unknown
		p.Why = "the API server restarted, and what its former process counted at last is not known"
	}
	p.Counted, p.Dropped, p.Rejected = 0, nil, 0
	return a.conclude(other, p), true
}

// inLog reports whether the log file was read without a break from the last
// judged reading to r.
func (a *account) inLog(r *reading) bool {
	return a.Judged.InLog && r.InLog && a.Judged.Breaks == r.Breaks
}

// compare judges by the counters: same are the resolved readings of the process of
// the judged one.
func (a *account) compare(now time.Time, settle time.Duration, same []int) (Proof, bool) {
	// What a reading counted and has not come, a later one counted too: so the bounds
	// of one hold for the others.
	low, high := a.Judged.Low, a.Judged.High
	lows, highs := make([]int64, len(same)), make([]int64, len(same))
	for k, i := range same {
		low = max(low, a.Open[i].Low)
		lows[k] = low
	}
	for k := len(same) - 1; k >= 0; k-- {
		bound := a.Open[same[k]].High
		if k+1 < len(same) {
			bound = min(bound, highs[k+1])
		}
		highs[k] = bound
	}
	high = min(high, highs[0])
	low = a.Judged.Low
	bounds := func(k int) (least, most int64) { return max(0, lows[k]-high), highs[k] - low }
	conclude := func(k int, p Proof) (Proof, bool) {
		a.Open[same[k]].Low, a.Open[same[k]].High = lows[k], highs[k]
		return a.conclude(same[k], p), true
	}
	last := len(same) - 1
	if lows[last] > highs[last] || low > high {
		p := a.between(a.Open[same[last]])
		p.Verdict, p.Why = Unknown, "more events came than the API server counted: was its clock set, or does another one send under its name?"
		return a.conclude(same[last], p), true
	}
	for k := last; k >= 0; k-- {
		if _, most := bounds(k); most == 0 {
			p := a.between(a.Open[same[k]])
			p.Verdict, p.Basis, p.Missing = None, byCounters, exactly(0)
			return conclude(k, p)
		}
	}
	given := a.given()
	for k := last; k >= 0; k-- {
		r := a.Open[same[k]]
		least, most := bounds(k)
		p := a.between(r)
		switch {
		case least == 0 && a.inLog(r):
			p.Verdict, p.Basis, p.Missing = None, byLog, exactly(0)
			p.Why = "every line of the API server's log was read"
			return conclude(k, p)
		case least == most && uint64(least) == given:
			// The API server says itself that it gave up on just so many.
		case least == most && now.Sub(r.Asked) >= settle:
		case now.Sub(r.Asked) >= 2*settle:
			// No reading at a quiet moment came, by which to tell exactly.
		default:
			continue
		}
		if least == 0 {
			p.Verdict, p.Missing = Unknown, upTo(0, uint64(most))
			p.Why = fmt.Sprintf("so many events come that %d cannot be told to have been counted before or after the reading of the counters", most)
			return conclude(k, p)
		}
		for j := range k { // the gap may have ended long before
			if l, m := bounds(j); l == least && m == most {
				k = j
				p = a.between(a.Open[same[k]])
				break
			}
		}
		p.Verdict, p.Basis, p.Missing = Gap, byCounters, upTo(uint64(least), uint64(most))
		return conclude(k, p)
	}
	return Proof{}, false
}

// given is how many events the API server says it gave up on since the judged reading.
func (a *account) given() uint64 {
	for i := len(a.Open) - 1; i >= 0; i-- {
		if r := a.Open[i]; r.Counters.Start == a.Judged.Counters.Start {
			var n uint64
			for _, more := range r.Counters.since(a.Judged.Counters) {
				n += more
			}
			return n
		}
	}
	return 0
}

// between is what is known of the time from the judged reading to r.
func (a *account) between(r *reading) Proof {
	p := Proof{FromSince: moment(a.Judged.From), From: moment(a.Judged.To), ToSince: moment(r.From), To: moment(r.To), Received: r.Received - a.Judged.Received, Late: a.Late}
	if r.Counters.Events >= a.Judged.Counters.Events {
		p.Counted = r.Counters.Events - a.Judged.Counters.Events
	}
	p.Dropped = r.Counters.since(a.Judged.Counters)
	if r.Counters.Rejected > a.Judged.Counters.Rejected {
		p.Rejected = r.Counters.Rejected - a.Judged.Counters.Rejected
	}
	return p
}

// conclude makes the reading at this place in Open the judged one.
func (a *account) conclude(i int, p Proof) Proof {
	r := a.Open[i]
	p.Canaries = a.takeCanaries(func(c canary) bool { return c.Sent.Before(r.Asked) })
	a.Judged, a.Open = r, a.Open[i+1:]
	a.Late = 0
	return p
}

// takeCanaries tells of the canaries chosen and forgets them.
func (a *account) takeCanaries(chosen func(canary) bool) Canaries {
	const most = 10
	var c Canaries
	kept := a.Canaries[:0]
	for _, one := range a.Canaries {
		if !chosen(one) {
			kept = append(kept, one)
			continue
		}
		c.Sent++
		if one.Arrived {
			c.Arrived++
		} else if len(c.Missing) < most {
			c.Missing = append(c.Missing, MissingCanary{one.AuditID, one.Sent.UTC()})
		}
	}
	a.Canaries = kept
	return c
}

// unanswered is the proof for a time in which the counters gave no answer.
func (a *account) unanswered(now time.Time, settle time.Duration, unseen *reading) Proof {
	p := Proof{From: a.judgedTo(), To: now.UTC(), Verdict: Unknown, Why: a.Trouble}
	if a.Judged != nil {
		p.Received = a.Received - a.Judged.Received
	}
	switch {
	case p.Why != "":
	case unseen != nil:
		p.Why = fmt.Sprintf("the event of the request that read the counters (audit ID %s) did not come: it is lost, or the audit policy does not record GET /metrics", unseen.AuditID)
	default:
		p.Why = "events that were counted have not come yet"
	}
	arrivedBefore := a.CanarySeen
	p.Canaries = a.takeCanaries(func(c canary) bool { return c.Arrived || now.Sub(c.Sent) >= settle })
	if missing := p.Canaries.Sent - p.Canaries.Arrived; missing > 0 && arrivedBefore {
		p.Verdict, p.Basis, p.Missing = Gap, byCanaries, &Missing{Least: uint64(missing)}
		p.Why = "requests were made whose events did not come; " + p.Why
	}
	return p
}

func exactly(n uint64) *Missing { return upTo(n, n) }

func upTo(least, most uint64) *Missing { return &Missing{Least: least, Most: &most} }
