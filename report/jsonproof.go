package report

import (
	"math"
	"strconv"

	"github.com/baileyhq/bailey"
)

// boundOf is the failure rate over which a proof would have seen a failure on
// every path. Where something failed there is nothing to bound.
func boundOf(p *bailey.Proof) float64 {
	if len(p.Broken) > 0 {
		return 1
	}
	return bailey.FailureBound(p.Least)
}

func (j *jsonWriter) proof(p *bailey.Proof) {
	j.key("proof")
	j.raw("{")
	j.int("held", p.Held)
	j.int("tried", p.Tried)
	j.int("least", p.Least)
	j.key("failureBound")
	j.b = strconv.AppendFloat(j.b, math.Round(boundOf(p)*1e4)/1e4, 'f', -1, 64)
	j.time("at", p.At)
	j.int("experiments", p.Experiments)
	j.int("needed", p.Needed)
	j.texts("broken", p.Broken)
	j.raw("}")
}

func (j *jsonWriter) evidence(e *bailey.Evidence) {
	j.raw("{")
	j.some("id", e.ID)
	j.some("run", e.Run)
	j.text("control", e.Control)
	j.text("experiment", e.Experiment)
	j.text("danger", string(e.Danger))
	j.scope(e.Scope)
	j.time("at", e.At)
	j.some("conditions", e.Conditions)
	j.array("paths", len(e.Paths), false, func(i int) {
		t := &e.Paths[i]
		j.raw("{")
		j.text("path", t.Path)
		j.some("conditions", t.Conditions)
		j.int("tried", t.Tried)
		j.int("held", t.Held)
		j.int("broken", t.Broken)
		j.int("inconclusive", t.Inconclusive)
		j.texts("why", t.Why)
		j.raw("}")
	})
	if len(e.Unclaimed) > 0 {
		j.texts("unclaimed", e.Unclaimed)
	}
	if len(e.Untold) > 0 {
		j.texts("untold", e.Untold)
	}
	if e.Copy {
		j.bool("copy", true)
	}
	j.bool("interrupted", e.Interrupted)
	j.some("signer", e.Signer)
	j.raw("}")
}

func (j *jsonWriter) texts(name string, list []string) {
	j.array(name, len(list), false, func(i int) { j.b = appendString(j.b, list[i]) })
}

type wireProof struct {
	Held        wireCount `json:"held"`
	Tried       wireCount `json:"tried"`
	Least       wireCount `json:"least"`
	At          wireTime  `json:"at"`
	Experiments wireCount `json:"experiments"`
	Needed      wireCount `json:"needed"`
	Broken      []string  `json:"broken"`
}

func (w *wireProof) proof() *bailey.Proof {
	if w == nil {
		return nil
	}
	return &bailey.Proof{Held: int(w.Held), Tried: int(w.Tried), Least: int(w.Least), At: w.At.Time,
		Experiments: int(w.Experiments), Needed: int(w.Needed), Broken: w.Broken}
}

type wireEvidence struct {
	ID         string        `json:"id"`
	Run        string        `json:"run"`
	Control    string        `json:"control"`
	Experiment string        `json:"experiment"`
	Danger     bailey.Danger `json:"danger"`
	Scope      wireScope     `json:"scope"`
	At         wireTime      `json:"at"`
	Conditions string        `json:"conditions"`
	Paths      []struct {
		Path         string    `json:"path"`
		Conditions   string    `json:"conditions"`
		Tried        wireCount `json:"tried"`
		Held         wireCount `json:"held"`
		Broken       wireCount `json:"broken"`
		Inconclusive wireCount `json:"inconclusive"`
		Why          []string  `json:"why"`
	} `json:"paths"`
	Unclaimed   []string `json:"unclaimed"`
	Untold      []string `json:"untold"`
	Copy        bool     `json:"copy"`
	Interrupted bool     `json:"interrupted"`
	Signer      string   `json:"signer"`
}

func (w wireEvidence) evidence() bailey.Evidence {
	e := bailey.Evidence{ID: w.ID, Run: w.Run, Control: w.Control, Experiment: w.Experiment, Danger: w.Danger, Scope: w.Scope.scope(),
		At: w.At.Time, Conditions: w.Conditions, Unclaimed: w.Unclaimed, Untold: w.Untold, Copy: w.Copy, Interrupted: w.Interrupted, Signer: w.Signer}
	for _, p := range w.Paths {
		e.Paths = append(e.Paths, bailey.Tally{Path: p.Path, Conditions: p.Conditions, Tried: int(p.Tried), Held: int(p.Held), Broken: int(p.Broken), Inconclusive: int(p.Inconclusive), Why: p.Why})
	}
	return e
}
