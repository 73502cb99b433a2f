package server

import (
	"time"

	"github.com/baileyhq/bailey"
)

// ExperimentInfo is an experiment and what it showed.
type ExperimentInfo struct {
	Control    string          `json:"control"`
	Name       string          `json:"name"`
	Title      string          `json:"title"`
	Doc        string          `json:"doc"`
	Hypothesis string          `json:"hypothesis"`
	Danger     bailey.Danger   `json:"danger"`
	Technique  string          `json:"technique,omitempty"`
	Window     time.Duration   `json:"window"`
	State      string          `json:"state"` // held, broken, inconclusive, stale or never (tried)
	Evidence   []Evidence      `json:"evidence,omitempty" doc:"the newest first, 50 pieces at most, in lists of experiments one; /api/v1/evidence gives all"`
	Runs       []ExperimentRun `json:"runs,omitempty" doc:"what its newest runs showed, the newest first, 40 at most, in lists of experiments one"`
	OlderRuns  bool            `json:"olderRuns,omitempty" doc:"there are others than these runs"`
}

// ExperimentRun is what one run of an experiment showed for all scopes that may be seen.
type ExperimentRun struct {
	Run          string    `json:"run,omitempty" doc:"for who sees everything; evidence that names none is as of one run if it is of one moment"`
	At           time.Time `json:"at" doc:"of its newest evidence"`
	Scopes       int       `json:"scopes" doc:"for which there is evidence"`
	Held         int       `json:"held"`
	Tried        int       `json:"tried"`
	Broken       int       `json:"broken"`
	Inconclusive int       `json:"inconclusive"`
	Unheld       int       `json:"unheld,omitempty" doc:"scopes in which something was tried and nothing held, or that were interrupted"`
	Cut          bool      `json:"cut,omitempty" doc:"more was kept of it than is added up here"`
}

// Evidence is what one run showed for one scope.
type Evidence struct {
	ID           string       `json:"id"`
	Run          string       `json:"run,omitempty"`
	Control      string       `json:"control"`
	Experiment   string       `json:"experiment"`
	Scope        bailey.Scope `json:"scope"`
	At           time.Time    `json:"at"`
	Held         int          `json:"held"`
	Tried        int          `json:"tried"`
	Broken       int          `json:"broken"`
	Inconclusive int          `json:"inconclusive"`
	Interrupted  bool         `json:"interrupted,omitempty"`
	Signer       string       `json:"signer,omitempty"`
	// Ledger is the index of its record in the ledger of the server that watches the cluster.
	Ledger *uint64        `json:"ledgerIndex,omitempty"`
	Paths  []bailey.Tally `json:"paths,omitempty"`
}

// Run is one run of experiments.
type Run struct {
	ID           string        `json:"id"`
	Controls     []string      `json:"controls,omitempty"`
	Experiment   string        `json:"experiment,omitempty"` // the only one of the only control
	Trigger      string        `json:"trigger"`              // schedule, person or api
	By           string        `json:"by,omitempty"`
	State        string        `json:"state"` // planned, running, done, stopped or failed
	Danger       bailey.Danger `json:"danger"`
	Planned      time.Time     `json:"planned,omitzero"`
	Started      time.Time     `json:"started,omitzero"`
	Ended        time.Time     `json:"ended,omitzero"`
	Held         int           `json:"held"`
	Tried        int           `json:"tried"`
	Broken       int           `json:"broken"`
	Inconclusive int           `json:"inconclusive"`
	Error        string        `json:"error,omitempty"`
	// Done counts the tries that are done of the Total that is planned; what they showed is counted
	// with each experiment that ends.
	Done  int `json:"done,omitempty"`
	Total int `json:"total,omitempty"`
	// Experiments are those that have ended for some scope.
	Experiments []RunExperiment `json:"experiments,omitempty"`
}

// RunExperiment is what one experiment has shown in a run.
type RunExperiment struct {
	Control      string `json:"control"`
	Experiment   string `json:"experiment"`
	Scopes       int    `json:"scopes"` // for which it has ended
	Held         int    `json:"held"`
	Tried        int    `json:"tried"`
	Broken       int    `json:"broken"`
	Inconclusive int    `json:"inconclusive"`
}

// runDoc is what is kept of a run beside its counts.
type runDoc struct {
	Only        string          `json:"only,omitempty"`
	Experiments []RunExperiment `json:"experiments,omitempty"`
}
