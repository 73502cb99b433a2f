package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Run is one run of experiments.
type Run struct {
	ID      string        `json:"id"`
	Planned time.Time     `json:"planned,omitzero"`
	Started time.Time     `json:"started,omitzero"`
	Ended   time.Time     `json:"ended,omitzero"`
	Trigger RunTrigger    `json:"trigger"`
	By      string        `json:"by,omitempty"` // who asked for it
	State   RunState      `json:"state"`
	Danger  bailey.Danger `json:"danger,omitempty"`
	// Controls are those whose experiments it runs; all of them if empty.
	Controls []string `json:"controls,omitempty"`
	// Probes counts what it does, Done what is done of that; the others count tries.
	Probes       int    `json:"probes,omitempty"`
	Done         int    `json:"done,omitempty"`
	Tried        int    `json:"tried,omitempty"`
	Held         int    `json:"held,omitempty"`
	Broken       int    `json:"broken,omitempty"`
	Inconclusive int    `json:"inconclusive,omitempty"`
	Error        string `json:"error,omitempty"`
	// Doc is what else is to be kept of it, as JSON.
	Doc json.RawMessage `json:"doc,omitempty"`
	// Seq orders the runs by when they were planned. The store sets it.
	Seq int64 `json:"seq,omitempty"`
}

// RunTrigger is what made a run begin.
type RunTrigger string

// The triggers.
const (
	TriggerSchedule RunTrigger = "schedule"
	TriggerPerson   RunTrigger = "person"
	TriggerAPI      RunTrigger = "api"
)

// RunState is how far a run is.
type RunState string

// The states. A run that is done, stopped or failed stays so.
const (
	RunPlanned RunState = "planned"
	RunRunning RunState = "running"
	RunDone    RunState = "done"
	RunStopped RunState = "stopped"
	RunFailed  RunState = "failed"
)

func (s RunState) ended() bool { return s == RunDone || s == RunStopped || s == RunFailed }

func (s RunState) known() bool { return s == RunPlanned || s == RunRunning || s.ended() }

// PutRun keeps a run, or how far it is now. The same run a second time changes nothing;
// one that has ended does not go on (ErrConflict).
func (s *Store) PutRun(ctx context.Context, cluster string, at time.Time, run Run) error {
	if run.ID == "" || !run.State.known() {
		return fmt.Errorf("store: a run needs an ID and a known state: %q, %q", run.ID, run.State)
	}
	return s.write(ctx, cluster, at, func(w *writer) error { return w.run(run) })
}

// PlanRun keeps a new run, unless another waits or goes on (ErrConflict).
func (s *Store) PlanRun(ctx context.Context, cluster string, at time.Time, run Run) error {
	if run.ID == "" || run.State != RunPlanned {
		return fmt.Errorf("store: a run to come needs an ID and is %s: %q, %q", RunPlanned, run.ID, run.State)
	}
	return s.write(ctx, cluster, at, func(w *writer) error {
		var others int
		if err := w.row("SELECT count(*) FROM runs WHERE cluster = ? AND state IN (?, ?)", w.cluster, string(RunPlanned), string(RunRunning)).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return fmt.Errorf("store: another run waits or goes on: %w", ErrConflict)
		}
		return w.run(run)
	})
}

func (w *writer) run(run Run) error {
	run.Seq = 0
	doc, _, err := encode(run)
	if err != nil {
		return err
	}
	id := clean(run.ID)
	var state RunState
	var seq int64
	var kept string
	err = w.row("SELECT seq, state, doc FROM runs WHERE cluster = ? AND id = ?", w.cluster, id).Scan(&seq, &state, &kept)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		seq = w.change("run", "added", "", 0, id)
	case err != nil:
		return err
	case kept == doc:
		return nil
	case state.ended() && state != run.State:
		return fmt.Errorf("store: run %s is %s and cannot become %s: %w", run.ID, state, run.State, ErrConflict)
	default:
		w.change("run", "changed", "", 0, id)
	}
	var ended sql.NullInt64
	if run.State.ended() {
		ended = sql.NullInt64{Int64: w.seq, Valid: true}
	}
	return w.insert("runs", []string{"cluster", "id", "seq", "state", "ended", "doc"}, [][]any{{w.cluster, id, seq, string(run.State), ended, doc}},
		"ON CONFLICT (cluster, id) DO UPDATE SET state = excluded.state, ended = excluded.ended, doc = excluded.doc")
}

// RunQuery asks for runs, the newest first. Runs belong to the cluster as a whole: who
// does not see everything sees none. What is not set does not narrow it.
type RunQuery struct {
	Cluster string
	Access  Access
	State   RunState
	Trigger RunTrigger
	// Control asks for runs of one control's experiments, among others or all.
	Control string
	// Broken asks for runs in which something broke.
	Broken bool
	// Text asks for those that hold each word of it in their ID, controls, error, or who asked.
	Text string
	// Look is how many runs are looked at for what they are narrowed by besides the state; what is usual if zero.
	Look   int
	Oldest bool // the oldest first
	Limit  int
	After  string
}

// RunsMost is how many runs a page holds at most: each says what every experiment showed.
const RunsMost = 200

// runsLooked is how many runs are looked at for a page of some.
const runsLooked = 400

// Runs gives a page of runs. Narrowed by more than the state it may hold less than its limit, and go on.
func (s *Store) Runs(ctx context.Context, q RunQuery) (Page[Run], error) {
	l := listing{columns: "seq, doc", table: "runs", cluster: q.Cluster, limit: min(q.Limit, RunsMost), after: q.After, oldest: q.Oldest,
		text: strings.Join([]string{q.Text, string(q.Trigger), q.Control, fmt.Sprint(q.Broken)}, "\n")}
	l.whole(q.Access)
	l.equal("state", string(q.State))
	by := sieve[Run]{most: cmp.Or(q.Look, runsLooked)}
	says := saying(q.Text, func(r *Run) []string { return append([]string{r.ID, r.By, r.Error}, r.Controls...) })
	if says != nil || q.Trigger != "" || q.Control != "" || q.Broken {
		by.keep = func(r *Run) bool {
			return (says == nil || says(r)) && (q.Trigger == "" || r.Trigger == q.Trigger) && (!q.Broken || r.Broken > 0) &&
				(q.Control == "" || len(r.Controls) == 0 || slices.Contains(r.Controls, q.Control))
		}
	}
	return sift(ctx, s, l, scanRun, by)
}

func scanRun(scan func(...any) error) (Run, int64, error) {
	var run Run
	var seq int64
	var doc string
	if err := scan(&seq, &doc); err != nil {
		return run, 0, err
	}
	err := decode(doc, &run)
	run.Seq = seq
	return run, seq, err
}

// Run gives one run.
func (s *Store) Run(ctx context.Context, access Access, cluster, id string) (Run, error) {
	var run Run
	err := s.read(ctx, func(r *reader) error {
		n, err := r.cluster(cluster)
		if err != nil {
			return err
		}
		if !access.all {
			return fmt.Errorf("store: no run %q: %w", id, ErrNotFound)
		}
		run, _, err = scanRun(r.row("SELECT seq, doc FROM runs WHERE cluster = ? AND id = ?", n, clean(id)).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			err = fmt.Errorf("store: no run %q: %w", id, ErrNotFound)
		}
		return err
	})
	return run, err
}
