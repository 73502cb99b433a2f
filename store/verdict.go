package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/baileyhq/bailey"
)

// Verdict is where a control stands for a scope, and since when.
type Verdict struct {
	bailey.Verdict
	Since time.Time
	// Seq is the number of the change that brought it to its rung.
	Seq int64
}

// verdictDoc is what of a verdict is only read.
type verdictDoc struct {
	WaivedUntil time.Time       `json:"waivedUntil,omitzero"`
	Coverage    bailey.Coverage `json:"coverage"`
	Proof       *bailey.Proof   `json:"proof,omitempty"`
	Next        string          `json:"next,omitempty"`
}

// verdictKey names a verdict of a cluster.
type verdictKey struct{ control, scope, namespace, kind, name string }

var verdictKeyColumns = []string{"control", "scope", "namespace", "kind", "name"}

func (k verdictKey) values() []any { return []any{k.control, k.scope, k.namespace, k.kind, k.name} }

// id names a verdict in one text, which ParseVerdictID reads.
func (k verdictKey) id() string {
	data, err := json.Marshal([...]string{k.control, k.scope, back(k.namespace, k.kind, k.name).Namespace, k.kind, k.name})
	if err != nil {
		panic(err) // strings can be marshalled
	}
	return string(data)
}

// ParseVerdictID reads the ID of a change whose subject is a verdict or a guard: of a
// guard the name follows.
func ParseVerdictID(id string) (control string, scope bailey.Scope, guard string, err error) {
	var parts []string
	if err := json.Unmarshal([]byte(id), &parts); err != nil || len(parts) != 5 && len(parts) != 6 {
		return "", scope, "", fmt.Errorf("store: %q names no verdict and no guard", id)
	}
	if len(parts) == 6 {
		guard = parts[5]
	}
	return parts[0], bailey.Scope{Kind: bailey.ScopeKind(parts[1]), Object: bailey.Ref{Kind: bailey.Kind(parts[3]), Namespace: parts[2], Name: parts[4]}}, guard, nil
}

func (k verdictKey) scopeOf() bailey.Scope {
	return bailey.Scope{Kind: bailey.ScopeKind(k.scope), Object: back(k.namespace, k.kind, k.name)}
}

func verdictKeyOf(control string, s bailey.Scope) verdictKey {
	o := keyOf(s.Object)
	return verdictKey{clean(control), clean(string(s.Kind)), o.namespace, o.kind, o.name}
}

// RungChange is a step of a control from one rung to another.
type RungChange struct {
	Seq     int64        `json:"seq"`
	At      time.Time    `json:"at"`
	Control string       `json:"control"`
	Scope   bailey.Scope `json:"scope"`
	// From is nil where the scope appeared, and To where it went.
	From *bailey.Rung `json:"from,omitempty"`
	To   *bailey.Rung `json:"to,omitempty"`
	Why  string       `json:"why,omitempty"`
}

// why says in a line why a verdict is what it is.
func why(v *bailey.Verdict) string {
	switch {
	case v.Proof != nil && len(v.Proof.Broken) > 0:
		return "broken: " + v.Proof.Broken[0]
	case v.Rung == bailey.RungGap && v.Findings == 1:
		return "1 finding"
	case v.Rung == bailey.RungGap:
		return strconv.Itoa(v.Findings) + " findings"
	case v.Rung == bailey.RungUnknown && len(v.Coverage.Missing) > 0:
		m := v.Coverage.Missing[0]
		text := "not seen: " + string(m.Kind)
		if m.Namespace != "" || m.Name != "" {
			text = "not seen: " + bailey.Ref{Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}.String()
		}
		return text + " (" + string(m.Reason) + ")"
	case v.Rung == bailey.RungProven && v.Proof != nil:
		return fmt.Sprintf("held %d of %d", v.Proof.Held, v.Proof.Tried)
	}
	return ""
}
