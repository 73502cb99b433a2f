package server

import (
	"time"

	"github.com/baileyhq/bailey"
)

// ControlRow is one control in a list of them.
type ControlRow struct {
	Standing
	Area       string           `json:"area"`
	Phase      string           `json:"phase" doc:"develop, distribute, deploy or runtime"`
	ScopeKind  bailey.ScopeKind `json:"scopeKind"`
	Unprovable string           `json:"unprovable,omitempty" doc:"why nothing can prove it"`
	Rules      int              `json:"rules"`
	// Experiments counts its experiments by what the newest evidence says that may be seen.
	Experiments ExperimentCounts `json:"experiments"`
	Stale       bool             `json:"stale" doc:"the newest evidence of an experiment is older than that allows"`
	Tried       *time.Time       `json:"tried,omitempty" doc:"of its newest evidence that may be seen"`
}

// ExperimentCounts are experiments by where their proof stands.
type ExperimentCounts struct {
	Held         int `json:"held"`
	Broken       int `json:"broken"`
	Inconclusive int `json:"inconclusive"`
	Stale        int `json:"stale"`
	Never        int `json:"never"`
}

// RuleRow is one rule in a list of them.
type RuleRow struct {
	RuleInfo
	Control string `json:"control"`
}

// GuardPage is one guard, with a page of the places that it was planned for.
type GuardPage struct {
	GuardInfo
	Total int    `json:"total" doc:"places that the question asks for"`
	Next  string `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
}
