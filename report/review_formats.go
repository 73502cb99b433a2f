package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/baileyhq/bailey"
)

// ReviewFormat is one way to write a review.
type ReviewFormat struct {
	Name   string
	Render func(w io.Writer, r *bailey.ChangeReview, o Options) error
}

// ReviewFormats lists them, the default one first.
func ReviewFormats() []ReviewFormat {
	return []ReviewFormat{{"text", renderReviewText}, {"markdown", renderReviewMarkdown}, {"sarif", renderReviewSARIF}, {"json", renderReviewJSON}}
}

// LookupReview gives the format of a name; the error lists the names there are.
func LookupReview(name string) (ReviewFormat, error) {
	var names []string
	for _, f := range ReviewFormats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return ReviewFormat{}, fmt.Errorf("no output format %q for a review: use one of %s", name, strings.Join(names, ", "))
}

// renderReviewSARIF writes what counts: findings that are new or worse, and what the
// change gives an attacker, under rules that are named review/<class>.
func renderReviewSARIF(w io.Writer, r *bailey.ChangeReview, o Options) error {
	shown := *r.New
	shown.Findings = nil
	shown.Diff = &bailey.Diff{Old: r.Old.Meta}
	for _, f := range newAndWorse(r) {
		shown.Findings = append(shown.Findings, *f)
	}
	for i := range r.Effects {
		e := &r.Effects[i]
		if !e.Weakens() || e.Class == bailey.EffectImage {
			continue
		}
		_, text := effectLine(e)
		rule := "review/" + string(e.Class)
		shown.Findings = append(shown.Findings, bailey.Finding{ID: bailey.FindingID(rule, e.Object, e.Text), Control: "review", Rule: rule, Severity: e.Gain, Object: e.Object,
			Message: text, Source: e.Source})
	}
	return renderSARIF(w, &shown, o)
}

// reviewVersion is that of the JSON form of a review.
const reviewVersion = "1"

type reviewJSON struct {
	SchemaVersion string         `json:"schemaVersion"`
	Base          string         `json:"base"`
	Head          string         `json:"head"`
	FailOn        string         `json:"failOn"`
	Failing       int            `json:"failing"`
	Unchanged     int            `json:"unchanged"`
	Findings      []findingJSON  `json:"findings"`
	Effects       []effectJSON   `json:"effects"`
	Rungs         []rungJSON     `json:"rungs"`
	Waivers       []waiverJSON   `json:"waivers"`
	Notes         []string       `json:"notes"`
	Coverage      map[string]int `json:"coverage"`
}

type findingJSON struct {
	Change   string        `json:"change"` // new, worse, moved, fixed, unseen
	Why      string        `json:"why,omitempty"`
	ID       string        `json:"id"`
	Control  string        `json:"control"`
	Rule     string        `json:"rule"`
	Severity string        `json:"severity"`
	Accepted bool          `json:"accepted"`
	Object   refJSON       `json:"object"`
	From     *refJSON      `json:"from,omitempty"`
	Field    string        `json:"field,omitempty"`
	Message  string        `json:"message"`
	Source   *positionJSON `json:"source,omitempty"`
}

type refJSON struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

type positionJSON struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

type effectJSON struct {
	Class   bailey.EffectClass `json:"class"`
	Gain    string             `json:"gain"`
	Added   bool               `json:"added"`
	Weakens bool               `json:"weakens"`
	Object  refJSON            `json:"object"`
	Text    string             `json:"text"`
	Source  *positionJSON      `json:"source,omitempty"`
}

type rungJSON struct {
	Control string       `json:"control"`
	Scope   bailey.Scope `json:"scope"`
	From    bailey.Rung  `json:"from"`
	To      bailey.Rung  `json:"to"`
}

type waiverJSON struct {
	Change string        `json:"change"`
	Waiver bailey.Waiver `json:"waiver"`
}

func renderReviewJSON(w io.Writer, r *bailey.ChangeReview, o Options) error {
	out := reviewJSON{SchemaVersion: reviewVersion, Base: r.Base, Head: r.Head, FailOn: o.FailOn.String(), Failing: ReviewFailing(r, o.FailOn), Unchanged: r.Unchanged,
		Findings: []findingJSON{}, Effects: []effectJSON{}, Rungs: []rungJSON{}, Waivers: []waiverJSON{}, Notes: append([]string{}, r.Notes...),
		Coverage: map[string]int{"seen": r.New.Coverage.Seen, "needed": r.New.Coverage.Needed}}
	add := func(change, why string, f *bailey.Finding, from *bailey.Ref) {
		j := findingJSON{Change: change, Why: why, ID: f.ID, Control: f.Control, Rule: f.Rule, Severity: f.Severity.String(), Accepted: !isOpen(f), Object: refOf(f.Object),
			Field: f.Field, Message: f.Message, Source: positionOf(f.Source, o)}
		if from != nil {
			ref := refOf(*from)
			j.From = &ref
		}
		out.Findings = append(out.Findings, j)
	}
	for i := range r.Added {
		add("new", "", &r.Added[i], nil)
	}
	for i := range r.Worse {
		add("worse", r.Worse[i].Why, &r.Worse[i].Finding, nil)
	}
	for i := range r.Moved {
		add("moved", "", &r.Moved[i].Finding, &r.Moved[i].From)
	}
	for i := range r.Fixed {
		add("fixed", "", &r.Fixed[i], nil)
	}
	for i := range r.Unseen {
		add("unseen", "", &r.Unseen[i], nil)
	}
	for i := range r.Effects {
		e := &r.Effects[i]
		out.Effects = append(out.Effects, effectJSON{Class: e.Class, Gain: e.Gain.String(), Added: e.Added, Weakens: e.Weakens(), Object: refOf(e.Object), Text: e.Text, Source: positionOf(e.Source, o)})
	}
	for _, c := range r.Rungs {
		out.Rungs = append(out.Rungs, rungJSON(c))
	}
	for _, c := range r.Waivers {
		out.Waivers = append(out.Waivers, waiverJSON{c.What, c.Waiver})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

func refOf(r bailey.Ref) refJSON { return refJSON{string(r.Kind), r.Namespace, r.Name} }

func positionOf(s bailey.Source, o Options) *positionJSON {
	if s.File == "" {
		return nil
	}
	return &positionJSON{relativeTo(s.File, o.Dir), s.Line, s.Column}
}
