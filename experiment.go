package bailey

import (
	"math"
	"time"
)

// Danger is what an experiment does beyond asking.
type Danger string

const (
	DangerNone       Danger = "none"       // reads, connections and SubjectAccessReviews
	DangerDryRun     Danger = "dry-run"    // server-side dry-run: only audit records stay
	DangerIsolated   Danger = "isolated"   // own namespaces and objects, removed afterwards
	DangerDisruptive Danger = "disruptive" // needs a flag, a window and an opt-in
)

// Dangers lists the classes from the mildest to the worst.
var Dangers = []Danger{DangerNone, DangerDryRun, DangerIsolated, DangerDisruptive}

// Tries is how often each path of an experiment is tried before its evidence
// proves anything. 16 tries catch a control that fails one time in four 99
// times in 100; isolated tries cost pods and namespaces, so 5 must do.
func (d Danger) Tries() int {
	if d == DangerNone || d == DangerDryRun {
		return 16
	}
	return 5
}

// FailureBound is the failure rate that a control may still have after it held
// in all of n tries, at 95 % confidence: 1 - 0.05^(1/n). It is 1 for n = 0.
func FailureBound(n int) float64 {
	if n <= 0 {
		return 1
	}
	return 1 - math.Pow(0.05, 1/float64(n))
}

// Experiment is a hypothesis about the running system and the plan that tests it.
type Experiment struct {
	Name  string
	Title string
	Doc   string
	// Hypothesis is the sentence that holds or is broken.
	Hypothesis string
	Danger     Danger
	// Technique is the ATT&CK technique that an attacker would use ("T1610").
	Technique string
	// Detections names the detections of derive/detect that should notice the
	// try; empty where nobody needs to notice a refused request.
	Detections []string
	Scope      ScopeKind
	// Needs lists the kinds that Plan reads, and Derives the derived facts.
	Needs   []Kind
	Derives []*Derivation
	// Extra tells that the experiment can break a control and is not needed to prove
	// it: what it acts upon is out of sight on many platforms, as it should be.
	Extra bool
	// Window is how long its evidence counts.
	Window time.Duration
	// Sample, if set, is for how many scopes it is done in a window, of those in which
	// it has something to try: others in the next window, all in their turn.
	Sample int
	// Places lists what must be there before it can run at all.
	Places []Place
	// Plan gives the probes for one scope; none if the scope has nothing to try.
	Plan func(v *View, scope Ref) []Probe
}

// IsNeeded reports whether a control counts as proven only once the experiment has
// held. A platform must be provable without being disturbed.
func (x *Experiment) IsNeeded() bool { return x.Danger != DangerDisruptive && !x.Extra }

// Place is a part of the platform that an experiment acts from or upon, and
// that not every run has.
type Place string

const (
	// PlaceNode: a node that runs probe pods, from the probe image.
	PlaceNode Place = "node"
	// PlaceEtcd: etcd itself with a client certificate, or a snapshot of it.
	PlaceEtcd Place = "etcd"
	// PlaceAuditLog: the audit log that the API server writes, while it is written.
	PlaceAuditLog Place = "audit log"
)

// Probe is one try and its allowed twin. The two differ only in what is
// forbidden: the twin must succeed, or the refusal of the try shows nothing.
type Probe struct {
	// Name says what is tried: "privileged container, ephemeral container".
	Name string `json:"name"`
	// Path is the way in that is tried; held/tried is counted per path.
	Path  string `json:"path"`
	Scope Scope  `json:"scope"`
	// Given, if set, is what the platform claims: a step whose refusal makes the
	// probe worth trying. Where it is accepted nobody claims the control, and the
	// probe is left out. It is asked before the tries, up to three times until it is
	// refused: what refuses most of the time claims the control too.
	Given *Step `json:"given,omitempty"`
	// GivenTwin, if set, is what Given asks for without the forbidden thing, where
	// that is not Twin: if it is refused too, the refusal is of something else, and the
	// thing itself is not claimed. It too is asked up to three times.
	GivenTwin *Step `json:"givenTwin,omitempty"`
	// Setup is done once before the tries; if a step of it fails the probe is
	// inconclusive. Listeners that follow each other in it are started together. What it
	// makes is removed after the tries.
	Setup []Step `json:"setup,omitempty"`
	Twin  Step   `json:"twin"`
	Try   Step   `json:"try"`
	// Admits turns the question round: the try is what the platform must accept, and
	// a refusal by one of its refusers breaks the control.
	Admits bool `json:"admits,omitempty"`
	// Detections names those of the experiment's that should notice this try; all of them if
	// nil, and none if empty: few tries of some experiments show anything to an audit log.
	Detections []string `json:"detections,omitempty"`
	// Undo puts back what removing the made objects does not, by requests for the run's
	// own objects. It is done after the tries in every case, the failed and the
	// interrupted included, and after an interruption perhaps twice.
	Undo []Step `json:"undo,omitempty"`
}
