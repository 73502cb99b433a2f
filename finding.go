package bailey

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseSeverity takes a lower-case severity name.
func ParseSeverity(name string) (Severity, error) {
	for i, known := range severityNames {
		if name == known {
			return Severity(i), nil
		}
	}
	return SeverityNone, fmt.Errorf("no severity %q: use one of %s", name, strings.Join(severityNames[:], ", "))
}

// Finding is one thing that a rule found wrong with one object.
type Finding struct {
	// ID is made from rule, object and named path; see FindingID.
	ID       string
	Control  string
	Rule     string // "<control>/<rule>"
	Severity Severity
	// Base is the severity that the rule gives anywhere, where Factors were weighed.
	Base Severity
	// Factors are what was weighed: what is known of the workload.
	Factors []Factor
	Object  Ref
	// APIVersion is the version that Object was read in.
	APIVersion string
	// Field is the path of the field in the object, with list indexes from 0:
	// "spec.template.spec.containers[0].image". Empty when the object as a
	// whole is meant.
	Field string
	// Named is Field with the names of list entries in the place of indexes
	// ("containers[web]"), so that it survives reordering; empty if the same.
	Named   string
	Message string
	// Related are other objects that take part: the pods of a Deployment with
	// the same finding, the Service that exposes it.
	Related []Ref
	// Cause is where the change belongs: the owner at the top of Object's chain.
	Cause  Ref
	Source Source
	Fix    []Change
	Waiver *Waiver
	// Baseline tells that the finding was accepted by a baseline.
	Baseline bool
}

// FindingID is the stable identity of a finding: 16 hexadecimal digits of the
// SHA-256 of rule, object and named path.
func FindingID(rule string, object Ref, named string) string {
	buffer := make([]byte, 0, 256)
	for _, part := range [...]string{rule, string(object.Kind), object.Namespace, object.Name, named} {
		buffer = strconv.AppendInt(buffer, int64(len(part)), 10)
		buffer = append(append(buffer, ':'), part...)
	}
	sum := sha256.Sum256(buffer)
	return hex.EncodeToString(sum[:8])
}

// Change is one edit of the world that a fix or a guard asks for.
type Change struct {
	// Object is what changes; for a creation its Content is given whole.
	Object     Ref    `json:"object"`
	APIVersion string `json:"apiVersion"`
	// Patch is an RFC 6902 JSON Patch; empty for a creation.
	Patch []PatchOp `json:"patch,omitempty"`
	// Content is the whole object of a creation, as maps, lists and scalars.
	Content map[string]any `json:"content,omitempty"`
	// Note says what a person must decide or supply; empty if nothing.
	Note string `json:"note,omitempty"`
}

// PatchOp is one operation of an RFC 6902 JSON Patch.
type PatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Waiver accepts findings for a time. One that lacks a reason, an owner or an
// expiry is an error where it is read.
type Waiver struct {
	// Rule is a rule or control ID; a trailing "/*" takes every rule under it.
	Rule string `json:"rule"`
	// Kind, Namespace and Name narrow the objects; each may hold "*" as a
	// wildcard, and an empty one means any.
	Kind      string    `json:"kind,omitempty"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	Reason    string    `json:"reason"`
	Owner     string    `json:"owner"`
	Expires   time.Time `json:"expires"`
}
