package bailey

// ChangeReview is what a change of files does to what they put on a platform: the
// verdicts before and after, and what an attacker gains or loses by it.
type ChangeReview struct {
	// Base and Head name the two states as the user did, with their commits.
	Base, Head string
	Old, New   *Report
	// Added, Worse and Moved are findings of New; Fixed and Unseen of Old. Unseen are
	// about objects that New did not see: neither fixed nor found again.
	Added, Fixed, Unseen []Finding
	Worse                []WorseFinding
	Moved                []MovedFinding
	Unchanged            int
	Effects              []Effect
	Rungs                []RungChange
	Waivers              []WaiverChange
	// Notes say what about the change could not be looked at.
	Notes []string
}

// WorseFinding is one that was there before and weighs more now.
type WorseFinding struct {
	Finding Finding
	Why     string
}

// MovedFinding is one of an object that has another name or namespace now.
type MovedFinding struct {
	Finding Finding
	From    Ref
}

// EffectClass says of what kind an effect is.
type EffectClass string

const (
	EffectPrivilege  EffectClass = "privilege"  // what a workload may do on its node
	EffectGrant      EffectClass = "grant"      // what an identity may do by RBAC
	EffectExposure   EffectClass = "exposure"   // who can reach it
	EffectProtection EffectClass = "protection" // what held something back
	EffectImage      EffectClass = "image"      // what runs
)

// Effect is one thing that a change gives or takes.
type Effect struct {
	Class EffectClass
	// Gain is what it is worth to an attacker.
	Gain Severity
	// Added tells that it is there now and was not. A protection weakens the platform
	// where it is not added: it has gone, or may hold back less than before.
	Added  bool
	Object Ref // a User or Group of RBAC is of the kind of that name
	Text   string
	Source Source
}

// Weakens reports whether the effect is in an attacker's favour.
func (e *Effect) Weakens() bool { return e.Added == (e.Class != EffectProtection) }

// RungChange is a control that stands on another rung for a scope than before.
type RungChange struct {
	Control  string
	Scope    Scope
	From, To Rung
}

// WaiverChange is a waiver that the change adds, widens or removes. It has no
// effect on the review.
type WaiverChange struct {
	Waiver Waiver
	What   string // "adds", "widens", "prolongs", "removes"
}
