// Package detect recognises attacks in the audit events of a Kubernetes API
// server. Each detection is data with an expression in CEL; a Set of compiled
// ones is handed events one by one and gives alerts. It reads no clock: time is
// that of the events.
package detect

import (
	"slices"
	"time"

	"github.com/baileyhq/bailey"
)

// Level is how much of a request an audit policy records.
type Level string

const (
	LevelNone            Level = "None"
	LevelMetadata        Level = "Metadata"
	LevelRequest         Level = "Request"
	LevelRequestResponse Level = "RequestResponse"
)

var levels = []Level{LevelNone, LevelMetadata, LevelRequest, LevelRequestResponse}

// Covers tells whether the level records at least what need does.
func (l Level) Covers(need Level) bool { return slices.Index(levels, l) >= slices.Index(levels, need) }

// Detection recognises one technique in audit events.
type Detection struct {
	// Name is in kebab case and never reused.
	Name  string
	Title string
	// Doc says in Markdown what is found, why it matters, and what stays quiet.
	Doc string
	// Unseen says what the detection cannot see.
	Unseen string
	// Technique is the ID in MITRE ATT&CK ("T1552.007"), from its matrix for
	// containers unless Doc says otherwise.
	Technique string
	// Matrix is the name in Microsoft's threat matrix for Kubernetes; empty
	// where it has none.
	Matrix   string
	Severity bailey.Severity

	// On are the requests that Expr is asked about; all if empty. It keeps
	// ordinary events cheap, and says what an audit policy must record.
	On []Requests
	// Level is what the policy must record for Expr to see what it needs.
	Level Level
	// Expr is CEL over the variables that Variables lists, and true for an
	// event that is (or with Burst: may be part of) the technique.
	Expr string
	// Burst asks for several such events; nil if one is enough.
	Burst *Burst

	// Bad are audit events that must raise the alert, Good their near
	// neighbours that must not. What does not matter is left out of them. For a
	// burst, "{n}" counts the events.
	Bad, Good []string
}

// Requests are requests for resources. An empty list stands for all.
type Requests struct {
	Group string
	// Resources are plural names, with the subresource after a slash.
	Resources []string
	Verbs     []string
}

// Burst is how many events of one origin, different from each other, make an
// alert.
type Burst struct {
	Count  int
	Within time.Duration
	// Key is a CEL string: events with the same are counted together. An empty
	// one leaves the event out.
	Key string
	// Distinct is a CEL string: events with the same count once.
	Distinct string
}

// Alert is one detection of one request, or of a burst of them.
type Alert struct {
	Detection string          `json:"detection"`
	Title     string          `json:"title"`
	Technique string          `json:"technique"`
	Severity  bailey.Severity `json:"severity"`

	// Time is when the request (the last one of a burst) came in.
	Time time.Time `json:"time"`
	// AuditIDs are the requests; the last one raised the alert. A burst names
	// as many as it counts.
	AuditIDs []string `json:"auditIDs"`

	User         string `json:"user"`
	Impersonated string `json:"impersonated,omitempty"`
	Address      string `json:"address,omitempty"`
	UserAgent    string `json:"userAgent,omitempty"`
	Verb         string `json:"verb"`
	Resource     string `json:"resource,omitempty"`
	Namespace    string `json:"namespace,omitempty"`
	Name         string `json:"name,omitempty"`
	// Path is the request's path, where it is for no resource.
	Path string `json:"path,omitempty"`

	// Code is the HTTP status that was answered.
	Code int `json:"code,omitempty"`
	// Refused tells an attempt that the API server turned down.
	Refused bool `json:"refused"`
	// DryRun tells a request that asked for nothing to be stored.
	DryRun bool `json:"dryRun,omitempty"`
}

// All gives the detections in the order of the documentation.
func All() []*Detection {
	return slices.Concat(credentialDetections, accessDetections, workloadDetections, admissionDetections, originDetections, discoveryDetections)
}
