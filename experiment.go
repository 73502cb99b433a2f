package bailey

import "time"

// Danger is what an experiment does beyond asking.
type Danger string

const (
	DangerNone       Danger = "none"       // reads and SubjectAccessReviews
	DangerDryRun     Danger = "dry-run"    // server-side dry-run: only audit records stay
	DangerIsolated   Danger = "isolated"   // own namespaces and objects
	DangerDisruptive Danger = "disruptive" // needs a flag, a window and an opt-in
)

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
	Scope     ScopeKind
	Needs     []Kind
	// Window is how long its evidence counts.
	Window time.Duration
	// Plan gives the probes for one scope; none if the scope has nothing to try.
	Plan func(v *View, scope Ref) []Probe
}

// Probe is one try and its allowed twin. The two differ only in what is
// forbidden: the twin must succeed, or the refusal of the try shows nothing.
type Probe struct {
	// Name says what is tried: "privileged container, create".
	Name string
	// Path is the way in that is tried; held/tried is counted per path.
	Path  string
	Scope Scope
	Try   Step
	Twin  Step
}

// Step is one request to the API server.
type Step struct {
	// Verb is create or update, always with dryRun=All at DangerDryRun.
	Verb string
	// Resource is the plural name, with the API version it is asked at.
	APIVersion, Resource string
	Namespace            string
	Object               map[string]any
	// Refuser is who must refuse the try; empty for a twin, which must succeed.
	Refuser Refuser
}

// Refuser is the part of the platform that turns a request down.
type Refuser string

const (
	RefuserPodSecurity   Refuser = "PodSecurity"
	RefuserAuthorization Refuser = "authorization"
	RefuserPolicy        Refuser = "ValidatingAdmissionPolicy"
	RefuserWebhook       Refuser = "webhook"
	RefuserQuota         Refuser = "ResourceQuota"
)

// Evidence is what the runs of one experiment showed for one scope.
type Evidence struct {
	Control    string    `json:"control"`
	Experiment string    `json:"experiment"`
	Scope      Scope     `json:"scope"`
	At         time.Time `json:"at"`
	// Held, Broken and Inconclusive add up to Tried.
	Held         int      `json:"held"`
	Broken       int      `json:"broken"`
	Inconclusive int      `json:"inconclusive"`
	Tried        int      `json:"tried"`
	Why          []string `json:"why,omitempty"`
}
