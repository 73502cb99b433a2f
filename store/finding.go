package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
)

// Finding is a finding with its history.
type Finding struct {
	bailey.Finding
	// First is when it was first seen, Opened when it last came (back), and Last when it
	// was last seen: of an open one, when its cluster was last heard of.
	First, Opened, Last time.Time
	// Gone is when it went away; zero while it is open.
	Gone time.Time
	// Times counts how often it came.
	Times int
	// Seq is the number of the change by which it last came.
	Seq int64
}

// IsOpen reports whether it is still there.
func (f *Finding) IsOpen() bool { return f.Gone.IsZero() }

// findingDoc is what of a finding is only read, never asked for.
type findingDoc struct {
	Base       bailey.Severity   `json:"base,omitzero"`
	Factors    []bailey.Factor   `json:"factors,omitempty"`
	Namespace  string            `json:"namespace,omitempty"` // of the object
	APIVersion string            `json:"apiVersion,omitempty"`
	Field      string            `json:"field,omitempty"`
	Named      string            `json:"named,omitempty"`
	Message    string            `json:"message"`
	Related    []bailey.Ref      `json:"related,omitempty"`
	Cause      bailey.Ref        `json:"cause,omitzero"`
	File       string            `json:"file,omitempty"`
	Line       int               `json:"line,omitempty"`
	Column     int               `json:"column,omitempty"`
	Rendered   *bailey.Rendering `json:"rendered,omitempty"`
	Fix        []bailey.Change   `json:"fix,omitempty"`
	Waiver     *bailey.Waiver    `json:"waiver,omitempty"`
	Baseline   bool              `json:"baseline,omitempty"`
}

// objectKey is an object as rows name it: by its home.
type objectKey struct{ namespace, kind, name string }

func keyOf(o bailey.Ref) objectKey { return objectKey{home(o), clean(string(o.Kind)), clean(o.Name)} }

// groupKey is what findings are counted by.
type groupKey struct {
	level                          int
	namespace, control, rule, kind string
	severity                       int
}

// findingRow is a finding as it is kept.
type findingRow struct {
	n                       int64
	id, control, rule       string
	severity                int
	object                  objectKey
	cause                   any  // text or nil
	gone, waived            bool // waived: by a waiver or the baseline
	opened, first, openedAt int64
	times                   int
	hash                    int64
	words, doc              string
}

func (f *findingRow) key() groupKey {
	return groupKey{0, f.object.namespace, f.control, f.rule, f.object.kind, f.severity}
}

// newFindingRow gives the row of a finding, without its history.
func newFindingRow(f *bailey.Finding) (*findingRow, error) {
	if f.ID == "" || f.Rule == "" || f.Object.Name == "" {
		return nil, fmt.Errorf("store: a finding needs an ID, a rule and an object: %q, %q, %q", f.ID, f.Rule, f.Object)
	}
	if f.Severity < bailey.SeverityNone || f.Severity > bailey.SeverityCritical {
		return nil, fmt.Errorf("store: finding %s has no severity: %d", f.ID, int(f.Severity))
	}
	row := &findingRow{
		id: clean(f.ID), control: clean(f.Control), rule: clean(f.Rule), severity: int(f.Severity),
		object: keyOf(f.Object), waived: f.Waiver != nil || f.Baseline,
	}
	if f.Cause != (bailey.Ref{}) && f.Cause != f.Object {
		row.cause = refText(f.Cause)
	}
	doc, hash, err := encode(findingDoc{
		f.Base, f.Factors, f.Object.Namespace, f.APIVersion, f.Field, f.Named, f.Message, f.Related, f.Cause,
		f.Source.File, f.Source.Line, f.Source.Column, f.Source.Rendered, f.Fix, f.Waiver, f.Baseline,
	})
	if err != nil {
		return nil, fmt.Errorf("store: finding %s: %w", f.ID, err)
	}
	row.doc, row.hash = doc, hash
	list := words(f.Object.Name, f.Object.Namespace, f.Object.Kind.Short(), f.Rule, f.Field, f.Message)
	row.words = joinWords(list)
	return row, nil
}

// refText is a reference in one column.
func refText(o bailey.Ref) string {
	return clean(string(o.Kind) + " " + o.Namespace + "/" + o.Name)
}

// findingColumns are those that finding reads.
const findingColumns = "f.id, f.control, f.rule, f.severity, f.namespace, f.kind, f.name, f.first_at, f.opened_at, f.last_at, f.gone_at, f.times, f.opened, f.doc"

// scanFinding reads findingColumns. Heard is when the cluster was last heard of.
func scanFinding(scan func(...any) error, heard int64, access Access) (Finding, error) {
	var f Finding
	var namespace, kind, name, text string
	var first, opened int64
	var last, gone *int64
	if err := scan(&f.ID, &f.Control, &f.Rule, &f.Severity, &namespace, &kind, &name, &first, &opened, &last, &gone, &f.Times, &f.Seq, &text); err != nil {
		return f, err
	}
	var doc findingDoc
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return f, fmt.Errorf("store: finding %s: %w: %w", f.ID, ErrDamaged, err)
	}
	f.First, f.Opened, f.Last = moment(first), moment(opened), moment(heard)
	if gone != nil {
		f.Gone = moment(*gone)
	}
	if last != nil {
		f.Last = moment(*last)
	}
	f.Object = back(namespace, kind, name)
	f.Base, f.APIVersion, f.Field, f.Named, f.Message = doc.Base, doc.APIVersion, doc.Field, doc.Named, doc.Message
	f.Source = bailey.Source{File: doc.File, Line: doc.Line, Column: doc.Column, Rendered: doc.Rendered}
	f.Fix, f.Waiver, f.Baseline = doc.Fix, doc.Waiver, doc.Baseline
	// What is somebody else's is not named to who may not see it.
	for _, related := range doc.Related {
		if access.sees(home(related)) {
			f.Related = append(f.Related, related)
		}
	}
	for _, factor := range doc.Factors {
		if access.sees(home(factor.By)) {
			f.Factors = append(f.Factors, factor)
		}
	}
	if access.sees(home(doc.Cause)) {
		f.Cause = doc.Cause
	}
	return f, nil
}
