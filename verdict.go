package bailey

import (
	"fmt"
	"time"
)

// Rung is where a control stands for one scope. Worse is smaller.
type Rung int

const (
	// RungGap: a rule found something wrong, or an experiment was broken.
	RungGap Rung = iota
	// RungUnknown: a fact that the control needs was not seen.
	RungUnknown
	// RungSound: every rule ran on every fact it needs and found nothing.
	RungSound
	// RungGuarded: sound, and something in place stops it from going wrong.
	RungGuarded
	// RungProven: sound, and its experiments held within their window.
	RungProven
)

var rungNames = [...]string{"gap", "unknown", "sound", "guarded", "proven"}

// String is the rung's lower-case name.
func (r Rung) String() string { return rungNames[r] }

// MarshalText gives the rung's name.
func (r Rung) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes a rung's name.
func (r *Rung) UnmarshalText(text []byte) error {
	for i, name := range rungNames {
		if string(text) == name {
			*r = Rung(i)
			return nil
		}
	}
	return fmt.Errorf("no rung %q", text)
}

// Verdict is where one control stands for one scope, and why.
type Verdict struct {
	Control string
	Scope   Scope
	Rung    Rung
	// Findings counts those that make the gap, waived ones included.
	Findings int
	// WaivedUntil is set when every finding is waived: the earliest expiry.
	WaivedUntil time.Time
	Coverage    Coverage
	// Proof is what experiments showed for the scope; nil where there is no evidence.
	Proof *Proof
	// Next says what would change the verdict, with the command.
	Next string
}

// Coverage counts the facts that a verdict needed and those it got. A fact is
// one keyed read: an object, or the list of a kind in a namespace.
type Coverage struct {
	Seen   int `json:"seen"`
	Needed int `json:"needed"`
	// Provider counts what of Needed the provider of a managed cluster shows nobody.
	Provider int       `json:"provider,omitempty"`
	Missing  []Missing `json:"missing"`
}

// Whole reports whether everything was seen that can be: all but what a provider keeps
// to itself.
func (c Coverage) Whole() bool { return c.Seen+c.Provider >= c.Needed }

// Missing is a fact that was needed and not seen.
type Missing struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Reason    Reason `json:"reason"`
	// Detail is what the medium said, such as the missing permission.
	Detail string `json:"detail,omitempty"`
	// Hint is what to do so that the fact is seen.
	Hint string `json:"hint,omitempty"`
}

// Reason is why a fact was not seen.
type Reason string

const (
	// ReasonForbidden: the identity may not read it; Detail names the permission.
	ReasonForbidden Reason = "forbidden"
	// ReasonUnreadable: it is there and could not be read or decoded.
	ReasonUnreadable Reason = "unreadable"
	// ReasonAmbiguous: files give the object with several contents, of which one counts.
	ReasonAmbiguous Reason = "ambiguous"
	// ReasonNotCollected: this medium or this run does not read it.
	ReasonNotCollected Reason = "not-collected"
	// ReasonOpenWorld: a folder does not hold all objects of a platform's kind.
	ReasonOpenWorld Reason = "open-world"
	// ReasonProvider: the provider of a managed cluster runs it and does not show it;
	// Hint names the provider's documentation.
	ReasonProvider Reason = "provider"
	// ReasonUndeclared: a rule read what it does not declare; a defect.
	ReasonUndeclared Reason = "undeclared"
	// ReasonNoRule: this version of Bailey has no rule for the control.
	ReasonNoRule Reason = "no-rule"
	// ReasonPanicked: a rule failed; a defect.
	ReasonPanicked Reason = "rule-failed"
)
