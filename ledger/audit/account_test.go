package audit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// story is an API server as the accounting sees it, played in microseconds.
type story struct {
	t        *testing.T
	random   *rand.Rand
	rate     int     // events a second
	lose     float64 // of the batches that are sent during an outage
	outage   [2]int64
	restart  int64 // when the API server restarts; 0 for never
	received bool  // the policy records the stage RequestReceived too
	log      bool

	events   []played
	readings map[int64]*played // by the time at which they were complete
}

type played struct {
	Event
	counted   int64 // when
	process   int
	delivered int64 // when; 0 if lost
	gathered  int64 // of a reading: when its counters were read
}

const (
	second  = int64(1_000_000)
	epoch   = 1_700_000_000 * second
	storyIs = 60 * second
	restIs  = 30 * second // with no outage, at the end
)

func (s *story) play() []Proof {
	s.readings = map[int64]*played{}
	for at := int64(0); at < storyIs+restIs; {
		at += int64(s.random.ExpFloat64() * float64(second) / float64(s.rate))
		if s.add(at) && s.received && s.random.IntN(2) == 0 {
			e := &s.events[len(s.events)-1]
			e.Stage = stageReceived
			e.counted = at + s.random.Int64N(second)
		}
	}
	for at := second; at < storyIs+restIs; at += second {
		begin := at + s.random.Int64N(second/4)
		end := begin + 2_000 + s.random.Int64N(20_000)
		if !s.add(end) {
			continue
		}
		own := &s.events[len(s.events)-1]
		own.AuditID, own.Received = fmt.Sprint("reading-", at), epoch+begin
		own.gathered = begin + 1_000 + s.random.Int64N(end-begin-1_000)
		if begin < s.restart && s.restart < end || begin < s.restart+2*second && s.restart+2*second < end {
			own.counted = 0 // it is cut off
		}
	}
	s.events = slices.DeleteFunc(s.events, func(e played) bool { return e.counted == 0 })
	for i := range s.events {
		if e := &s.events[i]; e.gathered != 0 {
			s.readings[e.At] = e
		}
	}

	byDelivery := make([]*played, 0, len(s.events))
	for i := range s.events {
		if s.events[i].delivered != 0 {
			byDelivery = append(byDelivery, &s.events[i])
		}
	}
	slices.SortStableFunc(byDelivery, func(a, b *played) int { return int(a.delivered - b.delivered) })

	a := &account{Name: "a"}
	var proofs []Proof
	next := 0
	deliver := func(until int64) {
		for ; next < len(byDelivery) && byDelivery[next].delivered <= until; next++ {
			a.event(&byDelivery[next].Event, s.log)
		}
	}
	var reads []*played
	for _, r := range s.readings {
		reads = append(reads, r)
	}
	slices.SortFunc(reads, func(a, b *played) int { return int(a.At - b.At) })
	clock := func(at int64) time.Time { return time.UnixMicro(epoch + at).Add(7 * time.Hour) } // ours goes wrong
	for _, r := range reads {
		deliver(r.Received - epoch)
		a.ask(r.AuditID, clock(r.Received-epoch))
		deliver(r.At - epoch + 1_000)
		a.answer(r.AuditID, s.counters(r), nil)
		now := r.At - epoch + 2_000
		deliver(now)
		for _, p := range a.judge(clock(now), 10*time.Second) {
			s.check(p, now)
			proofs = append(proofs, p)
		}
	}
	return proofs
}

// add makes one event at this moment, unless the API server is down.
func (s *story) add(at int64) bool {
	e := played{Event: Event{AuditID: fmt.Sprint("e", len(s.events)), Stage: stageComplete, At: epoch + at}, counted: at + s.random.Int64N(1_000)}
	if s.restart != 0 && at >= s.restart {
		if at < s.restart+2*second {
			return false
		}
		e.process = 1
	}
	e.delivered = at + s.random.Int64N(3*second)
	if s.log {
		e.delivered = e.counted
	}
	if e.delivered >= s.outage[0] && e.delivered < s.outage[1] {
		if s.random.Float64() < s.lose {
			e.delivered = 0
		} else {
			e.delivered = s.outage[1] + s.random.Int64N(2*second) // tried again
		}
	}
	s.events = append(s.events, e)
	return true
}

func (s *story) counters(r *played) Counters {
	c := Counters{Start: float64(1 + r.process)}
	for i := range s.events {
		if e := &s.events[i]; e.process == r.process && e.counted < r.gathered {
			c.Events++
		}
	}
	return c
}

// missing is what a proof is about, as it truly is at this moment.
func (s *story) missing(from, to *played, now int64) (n uint64) {
	for i := range s.events {
		e := &s.events[i]
		if e.counted >= from.gathered && e.counted < to.gathered && (e.delivered == 0 || e.delivered > now) {
			n++
		}
	}
	return n
}

func (s *story) check(p Proof, now int64) {
	s.t.Helper()
	from, to := s.readings[p.From.UnixMicro()], s.readings[p.To.UnixMicro()]
	if from == nil || to == nil || p.Missing == nil {
		if p.Verdict == None || p.Verdict == Gap {
			s.t.Fatalf("a verdict about no time: %+v", p)
		}
		return
	}
	truth := s.missing(from, to, now)
	if truth < p.Missing.Least || truth > *p.Missing.Most {
		s.t.Fatalf("%d events are missing from %s to %s, but the proof says %s, %d to %d (%s)", truth, p.From, p.To, p.Verdict, p.Missing.Least, *p.Missing.Most, p.Why)
	}
	if (p.Verdict == None) != (*p.Missing.Most == 0) || (p.Verdict == Gap) != (p.Missing.Least > 0) {
		s.t.Fatalf("the verdict is %s of %d to %d", p.Verdict, p.Missing.Least, *p.Missing.Most)
	}
}

// Whatever happens between an API server and the sink, what a proof says is true of
// the events that are missing, and everything that is lost is named in the end.
func TestAccountTellsTheTruth(t *testing.T) {
	stories := 200
	if testing.Short() {
		stories = 30
	}
	for n := range stories {
		seed := uint64(n)
		random := rand.New(rand.NewPCG(seed, 7))
		s := &story{t: t, random: random, rate: []int{1, 10, 60, 400}[random.IntN(4)], lose: []float64{0, 0.01, 0.5, 1}[random.IntN(4)], received: random.IntN(4) == 0}
		if random.IntN(3) > 0 {
			s.outage[0] = random.Int64N(storyIs)
			s.outage[1] = s.outage[0] + random.Int64N(storyIs-s.outage[0])
		}
		if random.IntN(3) == 0 {
			s.restart = storyIs/4 + random.Int64N(storyIs/2)
		}
		proofs := s.play()
		var least, most, late uint64
		var first *played
		at := time.Time{}
		for _, p := range proofs {
			if p.Verdict == Unknown && s.readings[p.To.UnixMicro()] == nil {
				continue // an interim answer
			}
			if !p.From.Equal(at) && !p.From.IsZero() {
				t.Fatalf("seed %d: a proof begins at %s, the one before ended at %s", seed, p.From, at)
			}
			at = p.To
			if first == nil {
				first = s.readings[p.To.UnixMicro()]
			}
			late += p.Late
			if p.Missing != nil {
				least += p.Missing.Least
				most += *p.Missing.Most
			}
		}
		if len(proofs) < 2 || at.UnixMicro() < epoch+storyIs {
			t.Fatalf("seed %d: after %d proofs the last one ends at %s", seed, len(proofs), at)
		}
		if s.rate <= 60 && !s.received && s.restart == 0 && s.lose > 0 {
			last := s.readings[at.UnixMicro()]
			if lost := s.missing(first, last, 1<<62); lost+late < least || lost > most || most-least > uint64(s.rate/10)+late+1 {
				t.Errorf("seed %d: %d events were lost, %d to %d are named, %d came late", seed, lost, least, most, late)
			}
		}
	}
}

func TestAccountOverARestart(t *testing.T) {
	for _, log := range []bool{false, true} {
		s := &story{t: t, random: rand.New(rand.NewPCG(1, 2)), rate: 20, restart: 20 * second, log: log}
		var across []Proof
		for _, p := range s.play() {
			if p.From.UnixMicro() < epoch+s.restart && p.To.UnixMicro() > epoch+s.restart {
				across = append(across, p)
			}
		}
		if len(across) != 1 {
			t.Fatalf("%d proofs span the restart: %+v", len(across), across)
		}
		p := across[0]
		if log && (p.Verdict != None || p.Basis != byLog) || !log && p.Verdict != Unknown {
			t.Errorf("with log %v the answer over the restart is %s (%s)", log, p.Verdict, p.Why)
		}
		if span := p.To.Sub(p.From); span > 5*time.Second {
			t.Errorf("the unknown time is %s long", span)
		}
	}
}

func TestRanges(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var r ranges
	have := map[uint64]bool{}
	for range 5000 {
		x := random.Uint64N(2000)
		if added := r.add(x); added == have[x] {
			t.Fatalf("%d: added is %v", x, added)
		}
		have[x] = true
		if !r.valid() {
			t.Fatalf("out of order: %v", r)
		}
	}
	n := uint64(0)
	for _, one := range r {
		n += one[1] - one[0]
	}
	if n != uint64(len(have)) {
		t.Errorf("%d of %d", n, len(have))
	}
}
