// Package prove runs experiments: it does what their probes describe, tells a
// refusal from a failure, counts what held, removes what it made, and signs what it
// saw as evidence.
package prove

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// The defaults of a run.
const (
	DefaultRate  = 200 // requests a second
	DefaultLimit = 30 * time.Minute
	// ThoroughTries bounds the failure rate under 5 % at 95 % confidence.
	ThoroughTries = 59
	workers       = 4
	// sickLimit is how many steps in a row may come to no answer before the run
	// takes the platform for sick and stops.
	sickLimit = 25
	stopEvery = time.Second
)

// Options of a run.
type Options struct {
	Config *rest.Config
	// Folder keeps journals; evidence is the caller's to keep.
	Folder string
	// Cluster is the UID of kube-system; Version is Bailey's own.
	Cluster, Version string
	// Repeat is the number of tries per probe; 0 means the danger's own.
	Repeat int
	// Rate bounds the requests a second; 0 means DefaultRate.
	Rate int
	// Limit bounds the run in time; 0 means DefaultLimit.
	Limit time.Duration
	// Image is what probe pods run: Bailey's own.
	Image string
	// PodAPIServer is the API server's host:port as pods see it; empty means the
	// address of the kubernetes Service.
	PodAPIServer string
	Etcd         Store
	// Origins asks the audit log where an object came from; nil where there is none.
	Origins Origins
	// Stop is the path of a file that stops the run when it appears; empty for none.
	Stop string
	// Around puts something around each request of the run, whoever it is made as; nil for nothing.
	Around func(*rest.Config)
	// Watchers are asked whether the tries were noticed.
	Watchers []Watcher
	// Keep, unless nil, is handed each record as soon as it is complete, before the
	// journal forgets that it began: what was seen must survive a kill. It is called
	// by one goroutine at a time.
	Keep func(r *Record, clock Clock, identity string) error
	// Progress, if set, is told of each step. It is called by several goroutines.
	Progress func(Progress)
	Now      func() time.Time
}

// Progress is how far a run has come.
type Progress struct {
	Unit        *Unit
	Done, Total int // tries
}

// run is one run of several units.
type run struct {
	o       Options
	id      string
	clients *clients
	journal *journal
	objects *objects
	pods    atomic.Int64
	done    atomic.Int64
	total   int
	// sick counts the steps in a row that came to no answer.
	sick   atomic.Int64
	keep   sync.Mutex
	ran    Ran
	cancel context.CancelCauseFunc
	base   bindings
	// Of probes that change what is there, one after the other: how many began, and what
	// could not be put back.
	debts  int
	unpaid []error
}

// ErrStopped is the cause of a run's end when the stop switch was thrown.
var ErrStopped = errors.New("stopped by the stop switch")

// ErrSick is the cause of a run's end when the platform stopped answering.
var ErrSick = errors.New("the platform no longer answers: an experiment on a sick system shows nothing")

// userAgent tells the team's detectors Bailey's requests from an attacker's. The
// correlation ID is the run's, or that of one experiment of it.
func userAgent(version, correlation string) string {
	return "bailey-prober/" + version + " (run " + correlation + ")"
}

// NewRunID gives the correlation ID of a run: 10 lower-case letters and digits.
func NewRunID() string { return strings.ToLower(rand.Text()[:10]) }

// ErrClosed is the cause of an experiment's end when the schedule's window closed.
var ErrClosed = errors.New("the schedule's window closed")

// Ran is what a run showed.
type Ran struct {
	// Records has one of every unit that was not skipped, in order.
	Records []*Record
	Clock   Clock
	// Identity is the user that the API server took the prober for.
	Identity string
}

// Run does the units that are not skipped. What it made is removed before it
// returns, whatever the error. What was seen until then is given even where the
// run was stopped.
func Run(ctx context.Context, id string, p Planned, o Options) (Ran, error) {
	var ran Ran
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Rate <= 0 {
		o.Rate = DefaultRate
	}
	if o.Stop != "" {
		if _, err := os.Stat(o.Stop); err == nil {
			return ran, fmt.Errorf("%w: %s is there\nhint: `bailey prove --resume` takes it away", ErrStopped, o.Stop)
		}
	}
	clients, err := newClients(o.Config, userAgent(o.Version, id), o.Rate)
	if err != nil {
		return ran, err
	}
	clients.around = o.Around
	ctx, cancelTime := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the run's limit of %s is over", o.Limit))
	defer cancelTime()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{o: o, id: id, clients: clients, cancel: cancel}
	defer clients.forget()
	before, err := r.steady(ctx)
	if err != nil {
		return ran, err
	}
	ran.Clock, ran.Identity = readClock(ctx, clients), r.whoAmI(ctx)
	r.ran = ran
	if r.base, err = r.baseBindings(); err != nil {
		return ran, err
	}
	if r.journal, err = createJournal(o.Folder, id, o.Cluster, o.Version, o.Now); err != nil {
		return ran, fmt.Errorf("no journal, no experiment: %w", err)
	}
	r.objects = &objects{clients: clients, journal: r.journal, run: id}
	go r.watchStop(ctx)

	records := make([]*Record, 0, len(p.Units))
	var mild, strong []*Record
	for i := range p.Units {
		u := &p.Units[i]
		if u.Skipped != "" {
			continue
		}
		record := &Record{Unit: u, Run: id, Correlation: fmt.Sprintf("%s-%03d", id, len(records)+1), Before: before}
		records = append(records, record)
		r.total += len(u.Probes) * r.repeat(u)
		if acts(u.Experiment.Danger) {
			strong = append(strong, record)
		} else {
			mild = append(mild, record)
		}
	}
	r.each(ctx, mild, r.rounds)
	within, closeWindow := ctx, func() {}
	if !p.Until.IsZero() {
		within, closeWindow = context.WithDeadlineCause(ctx, p.Until, ErrClosed)
	}
	defer closeWindow()
	for _, record := range strong { // one at a time: what they make must not meet
		r.begin(within, record, r.isolated)
	}
	left := errors.Join(append(r.unpaid, r.objects.sweep(ctx, 0))...)
	ran.Records = records
	if left != nil {
		return ran, errors.Join(fmt.Errorf("something was left behind: %w\nhint: `bailey prove --reap` tries again", left), r.journal.close())
	}
	if err := r.journal.finish(); err != nil {
		return ran, err
	}
	return ran, context.Cause(ctx)
}

// each begins the records with several workers.
func (r *run) each(ctx context.Context, records []*Record, work func(context.Context, *Record)) {
	var wg sync.WaitGroup
	queue := make(chan *Record)
	for range min(workers, len(records)) {
		wg.Go(func() {
			for record := range queue {
				r.begin(ctx, record, work)
			}
		})
	}
	for _, record := range records {
		queue <- record
	}
	close(queue)
	wg.Wait()
}

// begin does one unit, and notes in the journal that it began and ended.
func (r *run) begin(ctx context.Context, record *Record, work func(context.Context, *Record)) {
	u := record.Unit
	ctx = asAgent(ctx, userAgent(r.o.Version, record.Correlation))
	record.Start = r.o.Now().UTC()
	record.start(u.Probes)
	if ctx.Err() == nil {
		if acts(u.Experiment.Danger) {
			if err := r.journal.write(entry{Unit: &journalUnit{u.Control.ID, u.Experiment.Name, u.Experiment.Danger, u.Scope}}); err != nil {
				r.cancel(err)
			}
		}
		work(ctx, record)
		r.notice(ctx, record)
		r.end(ctx, record)
		if acts(u.Experiment.Danger) {
			if err := r.journal.write(entry{Done: true}); err != nil {
				r.cancel(err)
			}
		}
		return
	}
	r.end(ctx, record)
}

// end completes a record, and has it kept.
func (r *run) end(ctx context.Context, record *Record) {
	record.End = r.o.Now().UTC()
	if ctx.Err() != nil {
		record.Interrupted = context.Cause(ctx).Error()
	}
	var err error
	if record.After, err = r.steady(context.WithoutCancel(ctx)); err != nil {
		record.After = []string{err.Error()}
		if record.Interrupted == "" {
			record.Interrupted = "the platform was not well afterwards: " + err.Error()
		}
	}
	if r.o.Keep == nil {
		return
	}
	r.keep.Lock()
	defer r.keep.Unlock()
	if err := r.o.Keep(record, r.ran.Clock, r.ran.Identity); err != nil {
		r.cancel(err)
	}
}

func (r *run) repeat(u *Unit) int {
	if r.o.Repeat > 0 {
		return r.o.Repeat
	}
	return u.Experiment.Danger.Tries()
}

func (r *run) now() time.Time { return r.o.Now() }

// watchStop throws the run's switch when the stop file appears.
func (r *run) watchStop(ctx context.Context) {
	if r.o.Stop == "" {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(stopEvery):
			if _, err := os.Stat(r.o.Stop); err == nil {
				r.cancel(ErrStopped)
				return
			}
		}
	}
}

// answered watches for a platform that no longer answers.
func (r *run) answered(a answer) {
	// A prober that is turned down has been answered, even where that is no answer to
	// what it asked.
	if a.refuser != "" || (a.failure == nil || a.code/100 == 4) && a.code/100 != 5 && a.code != 429 {
		r.sick.Store(0)
		return
	}
	if r.sick.Add(1) >= sickLimit {
		r.cancel(ErrSick)
	}
}

func (r *run) step(u *Unit) {
	done := r.done.Add(1)
	if r.o.Progress != nil {
		r.o.Progress(Progress{Unit: u, Done: int(done), Total: r.total})
	}
}
