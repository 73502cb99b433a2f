package prove

import (
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
)

// whyLimit bounds how many reasons one probe keeps.
const whyLimit = 3

// Result is what the tries of one probe came to.
type Result struct {
	Name         string   `json:"name"`
	Path         string   `json:"path"`
	Tried        int      `json:"tried"`
	Held         int      `json:"held"`
	Broken       int      `json:"broken"`
	Inconclusive int      `json:"inconclusive"`
	Unclaimed    bool     `json:"unclaimed,omitempty"`
	Untold       bool     `json:"untold,omitempty"`
	Why          []string `json:"why,omitempty"`
	// Detected says whether the tries were noticed, for experiments that should be.
	Detected []Detected `json:"detected,omitempty"`
	// Response is what came of it all, for experiments that should be noticed.
	Response Response `json:"response,omitempty"`
}

// Response says in a word whether what was tried was prevented, and whether anybody
// who should have noticed it did.
type Response string

const (
	Prevented Response = "prevented"
	Noticed   Response = "detected"
	Both      Response = "both"
	Neither   Response = "neither"
)

// respond sets the response, once it is known who noticed. There is none where the try
// was inconclusive, or nobody is known to have noticed and one may have.
func (r *Result) respond() {
	found, unknown := false, len(r.Detected) == 0
	for _, d := range r.Detected {
		found = found || d.Found
		unknown = unknown || d.Failure != ""
	}
	switch outcome := r.Outcome(); {
	case unknown && !found:
	case outcome == Held && found:
		r.Response = Both
	case outcome == Held:
		r.Response = Prevented
	case outcome == Broken && found:
		r.Response = Noticed
	case outcome == Broken:
		r.Response = Neither
	}
}

func (r *Result) note(why string) {
	if len(r.Why) < whyLimit {
		r.Why = append(r.Why, cutSecrets(why))
	}
}

// Outcome is the worst of the tries.
func (r *Result) Outcome() Outcome {
	switch {
	case r.Unclaimed:
		return Unclaimed
	case r.Untold:
		return Untold
	case r.Broken > 0:
		return Broken
	case r.Held == 0 || r.Inconclusive > 0:
		return Inconclusive
	}
	return Held
}

// Exchange is one step as it was done, and what came back.
type Exchange struct {
	Probe   int       `json:"probe"` // index into the plan
	Role    string    `json:"role"`  // given, given twin, setup, twin, try, undo
	Round   int       `json:"round"` // counts from 0
	At      time.Time `json:"at"`
	Micros  int64     `json:"microseconds"`
	Said    string    `json:"said"`
	Answer  string    `json:"answer"` // accepted, refused, none
	Refuser string    `json:"refuser,omitempty"`
	Code    int       `json:"code,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Message string    `json:"message,omitempty"`
	AuditID string    `json:"auditID,omitempty"`
	// Body is the SHA-256 of the answer's body.
	Body string `json:"bodySHA256,omitempty"`
}

// Record is everything that one unit of a run showed.
type Record struct {
	Unit *Unit
	Run  string
	// Correlation tells the unit's requests, and the alerts about them, from those of
	// the run's other units: the run's id with a number behind it.
	Correlation string
	Start, End  time.Time
	Results     []Result
	Exchanges   []Exchange
	// Before and After say how the platform was: its steady state.
	Before, After []string
	// LeftBehind names what could not be removed; empty is what must be.
	LeftBehind []string
	// Interrupted says what cut the unit off; empty if nothing did.
	Interrupted string
	// Taken is the moment that was seen, where not the platform was read but a copy
	// of an earlier moment; zero otherwise.
	Taken time.Time

	mu sync.Mutex
}

func (r *Record) start(probes []bailey.Probe) {
	r.Results = make([]Result, len(probes))
	for i, p := range probes {
		r.Results[i] = Result{Name: p.Name, Path: p.Path}
	}
}

func (r *Record) exchange(probe int, role string, round int, a answer) {
	e := Exchange{Probe: probe, Role: role, Round: round, At: a.at, Micros: a.took.Microseconds(), Said: cutSecrets(a.said), Answer: "refused",
		Refuser: string(a.refuser), Code: a.code, Reason: a.reason, Message: cutSecrets(a.message), AuditID: a.auditID, Body: a.digest}
	switch {
	case a.failure != nil:
		e.Answer, e.Message = "none", cutSecrets(a.failure.Error())
	case a.accepted:
		e.Answer = "accepted"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !a.taken.IsZero() && (r.Taken.IsZero() || a.taken.Before(r.Taken)) {
		r.Taken = a.taken.UTC()
	}
	r.Exchanges = append(r.Exchanges, e)
}

// Evidence is the record's summary: what the ladder counts.
func (r *Record) Evidence() bailey.Evidence {
	u := r.Unit
	e := bailey.Evidence{Run: r.Run, Control: u.Control.ID, Experiment: u.Experiment.Name, Danger: u.Experiment.Danger, Scope: u.Scope,
		At: r.End, Conditions: u.Conditions, Interrupted: r.Interrupted != "", Paths: []bailey.Tally{}}
	if !r.Taken.IsZero() {
		e.At, e.Copy = r.Taken, true
	}
	index := map[string]int{}
	for _, result := range r.Results {
		path := bailey.PathName(result.Name, result.Path)
		if result.Unclaimed {
			e.Unclaimed = append(e.Unclaimed, path)
			continue
		}
		if result.Untold {
			e.Untold = append(e.Untold, path)
			continue
		}
		i, known := index[path]
		if !known {
			i = len(e.Paths)
			index[path] = i
			e.Paths = append(e.Paths, bailey.Tally{Path: path, Conditions: u.paths[path]})
		}
		e.Paths[i].Add(bailey.Tally{Tried: result.Tried, Held: result.Held, Broken: result.Broken, Inconclusive: result.Inconclusive, Why: result.Why})
	}
	return e
}

// Verdict says in one word and a sentence what the record shows.
func (r *Record) Verdict() (Outcome, string) {
	held, broken, inconclusive, unclaimed := 0, 0, 0, 0
	var why string
	for i := range r.Results {
		result := &r.Results[i]
		switch result.Outcome() {
		case Held:
			held++
		case Broken:
			if broken == 0 {
				why = bailey.PathName(result.Name, result.Path) + ": " + strings.Join(result.Why, "; ")
			}
			broken++
		case Unclaimed, Untold:
			unclaimed++
		default:
			if inconclusive == 0 && broken == 0 && len(result.Why) > 0 {
				why = bailey.PathName(result.Name, result.Path) + ": " + result.Why[0]
			}
			inconclusive++
		}
	}
	switch {
	case broken > 0:
		return Broken, why
	case r.Interrupted != "":
		return Inconclusive, "interrupted: " + r.Interrupted
	case inconclusive > 0:
		return Inconclusive, why
	case held == 0 && unclaimed > 0:
		return Unclaimed, "nobody claims to refuse what would be tried"
	case held == 0:
		return Inconclusive, "nothing was tried"
	}
	return Held, ""
}
