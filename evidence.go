package bailey

import "time"

// Evidence is what one run of one experiment showed for one scope. The signed
// statement that it comes from holds the plan and every exchange beside it.
type Evidence struct {
	// ID is the SHA-256 of the signed payload, in hexadecimal digits.
	ID         string `json:"id,omitempty"`
	Run        string `json:"run,omitempty"`
	Control    string `json:"control"`
	Experiment string `json:"experiment"`
	Danger     Danger `json:"danger"`
	Scope      Scope  `json:"scope"`
	// At is when it ended or, where a copy was read, the moment that the copy shows.
	At time.Time `json:"at"`
	// Copy tells that not the platform was read but a copy, such as a snapshot of
	// etcd: however often it is read, one of the same moment is one observation.
	Copy bool `json:"copy,omitempty"`
	// Conditions is a digest of the plan, the server's version and the guards.
	// Tries of several runs add up while it stays the same.
	Conditions string `json:"conditions,omitempty"`
	// Paths has an entry per path that was tried.
	Paths []Tally `json:"paths"`
	// Unclaimed are the paths of which nobody claimed to refuse what would have been
	// tried: no proof and no failure, unless the claim was made before.
	Unclaimed []string `json:"unclaimed,omitempty"`
	// Untold are the paths of which it could not be told whether anybody claims to
	// refuse what would have been tried: something else of it was refused.
	Untold []string `json:"untold,omitempty"`
	// Interrupted tells that the run did not end by itself.
	Interrupted bool `json:"interrupted,omitempty"`
	// Signer is the id of the key that signed it.
	Signer string `json:"signer,omitempty"`
}

// Tally counts the tries of one path.
type Tally struct {
	Path string `json:"path"`
	// Conditions is a digest of what the path's tries rest on (PathConditions).
	Conditions string `json:"conditions,omitempty"`
	// Held, Broken and Inconclusive add up to Tried.
	Tried        int `json:"tried"`
	Held         int `json:"held"`
	Broken       int `json:"broken"`
	Inconclusive int `json:"inconclusive"`
	// Why names the first tries that did not hold, with their probe.
	Why []string `json:"why,omitempty"`
}

// PathName is the name under which the tries of one probe are counted: it tells
// the tries of one thing by one way from those of another.
func PathName(probe, path string) string {
	if path == "" || path == probe {
		return probe
	}
	return probe + " (" + path + ")"
}

// Add adds the tries of another tally of the same path.
func (t *Tally) Add(o Tally) {
	t.Tried += o.Tried
	t.Held += o.Held
	t.Broken += o.Broken
	t.Inconclusive += o.Inconclusive
	t.Why = append(t.Why, o.Why...)
}

// Total adds up the paths.
func (e *Evidence) Total() Tally {
	var total Tally
	for _, t := range e.Paths {
		total.Add(t)
	}
	return total
}

// Proof is what counts for a verdict of all evidence within its window.
type Proof struct {
	// Held and Tried add up the conclusive tries of the last unbroken stretch.
	Held  int `json:"held"`
	Tried int `json:"tried"`
	// Least is the number of tries of the path that was tried least: it bounds the
	// failure rate that may have stayed unseen (FailureBound).
	Least int       `json:"least"`
	At    time.Time `json:"at"` // of the newest evidence
	// Experiments counts those that held, and those that the control has.
	Experiments int `json:"experiments"`
	Needed      int `json:"needed"`
	// Broken names what was broken: "experiment: path: why".
	Broken []string `json:"broken,omitempty"`
}
