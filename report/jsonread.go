package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// readLimit bounds a saved report: over ten times the JSON of 100,000 findings.
const readLimit = 1 << 30

// ErrOtherSchema tells that a report has a schema that this version of Bailey does not read.
var ErrOtherSchema = errors.New("another version of the schema")

// ReadJSON reads a report that the json format wrote. Its controls have the
// names and titles of their rules and nothing else: whoever has the catalogue
// puts it in their place. Fields that this version does not know are ignored.
// The reader is read to its end, at most 1 GiB.
func ReadJSON(r io.Reader) (*bailey.Report, error) {
	limited := &io.LimitedReader{R: r, N: readLimit + 1}
	d := json.NewDecoder(limited)
	report, err := readReport(d)
	if limited.N <= 0 {
		return nil, fmt.Errorf("the report is larger than %d bytes\nhint: scan fewer targets at once", readLimit)
	}
	if err != nil {
		return nil, fmt.Errorf("read the JSON report at byte %d: %w\nhint: give a file that `bailey scan -o json` wrote", d.InputOffset(), err)
	}
	return report, nil
}

func readReport(d *json.Decoder) (*bailey.Report, error) {
	report := &bailey.Report{}
	version := 0
	var summary wireSummary
	fields := map[string]func() error{
		"schemaVersion": func() error {
			if err := d.Decode(&version); err != nil {
				return err
			}
			if version != SchemaVersion {
				return fmt.Errorf("%w: it has version %d of the schema; this version of Bailey reads %d", ErrOtherSchema, version, SchemaVersion)
			}
			return nil
		},
		"meta": func() error {
			var m wireMeta
			if err := d.Decode(&m); err != nil {
				return err
			}
			took, targets := m.TookSeconds, report.Meta.Targets
			if !(took >= 0 && took < 1e9) {
				return fmt.Errorf("tookSeconds %v is no duration", took)
			}
			report.Took = time.Duration(took * float64(time.Second)).Round(time.Microsecond)
			report.Meta = m.meta()
			report.Meta.Targets = targets
			return nil
		},
		"targets":  func() error { return readArray(d, &report.Meta.Targets, wireTarget.target) },
		"summary":  func() error { return d.Decode(&summary) },
		"controls": func() error { return readArray(d, &report.Controls, wireControl.control) },
		"verdicts": func() error { return readArray(d, &report.Verdicts, wireVerdict.verdict) },
		"findings": func() error { return readArray(d, &report.Findings, wireFinding.finding) },
		"evidence": func() error { return readArray(d, &report.Evidence, wireEvidence.evidence) },
		"diff": func() error {
			var w *wireDiff
			if err := d.Decode(&w); err != nil || w == nil {
				return err
			}
			report.Diff = &bailey.Diff{Old: w.Old.meta(), Added: int(w.Added), Unchanged: int(w.Unchanged)}
			for _, f := range w.Fixed {
				report.Diff.Fixed = append(report.Diff.Fixed, f.finding())
			}
			for _, f := range w.Unseen {
				report.Diff.Unseen = append(report.Diff.Unseen, f.finding())
			}
			return nil
		},
	}
	if err := expect(d, '{'); err != nil {
		return nil, err
	}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := token.(string) // the decoder takes nothing else for a key
		field := fields[name]
		if field == nil {
			field = func() error { var ignored json.RawMessage; return d.Decode(&ignored) }
		}
		if err := field(); err != nil {
			return nil, fmt.Errorf("%s: %w", clean(cut(name, 40)), err)
		}
	}
	if err := expect(d, '}'); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the report")
	}
	if version == 0 {
		return nil, errors.New("it has no schemaVersion: this is no report of Bailey")
	}
	report.Facts, report.Coverage = int(summary.Facts), summary.Coverage.coverage()
	return report, nil
}

func expect(d *json.Decoder, delim json.Delim) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != delim {
		return fmt.Errorf("found %v where %v should be", token, delim)
	}
	return nil
}

// readArray reads a list element by element, so that only the result is held.
func readArray[W, T any](d *json.Decoder, into *[]T, convert func(W) T) error {
	*into = nil
	if err := expect(d, '['); err != nil {
		return err
	}
	for d.More() {
		var w W
		if err := d.Decode(&w); err != nil {
			return fmt.Errorf("element %d: %w", len(*into), err)
		}
		*into = append(*into, convert(w))
	}
	return expect(d, ']')
}

// wireCount is a number of things.
type wireCount int

func (c *wireCount) UnmarshalJSON(b []byte) error {
	var n int
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	if n < 0 {
		return fmt.Errorf("%d is no count", n)
	}
	*c = wireCount(n)
	return nil
}

// wireTime is a time that can be written again: RFC 3339 ends with year 9999.
type wireTime struct{ time.Time }

func (t *wireTime) UnmarshalJSON(b []byte) error {
	if err := t.Time.UnmarshalJSON(b); err != nil {
		return err
	}
	t.Time = t.UTC()
	if y := t.Year(); y < 1 || y > 9999 {
		return fmt.Errorf("year %d is out of range", y)
	}
	return nil
}

type wireMeta struct {
	At                wireTime       `json:"at"`
	Medium            string         `json:"medium"`
	ClusterUID        string         `json:"clusterUID"`
	Context           string         `json:"context"`
	KubernetesVersion bailey.Version `json:"kubernetesVersion"`
	AssumedVersion    bool           `json:"assumedVersion"`
	TookSeconds       float64        `json:"tookSeconds"`
}

func (m wireMeta) meta() bailey.Meta {
	return bailey.Meta{At: m.At.Time, Medium: m.Medium, ClusterUID: m.ClusterUID, Context: m.Context,
		Version: m.KubernetesVersion, AssumedVersion: m.AssumedVersion}
}

type wireTarget struct {
	Name    string        `json:"name"`
	Medium  string        `json:"medium"`
	Objects wireCount     `json:"objects"`
	Skipped []bailey.Skip `json:"skipped"`
	Ignored []bailey.Skip `json:"ignored"`
}

func (w wireTarget) target() bailey.Target {
	return bailey.Target{Name: w.Name, Medium: w.Medium, Objects: int(w.Objects), Skipped: w.Skipped, Ignored: w.Ignored}
}

type wireSummary struct {
	Facts    wireCount    `json:"facts"`
	Coverage wireCoverage `json:"coverage"`
}

type wireCoverage struct {
	Seen     wireCount `json:"seen"`
	Needed   wireCount `json:"needed"`
	Provider wireCount `json:"provider"`
	Missing  []struct {
		wireRef
		Reason bailey.Reason `json:"reason"`
		Detail string        `json:"detail"`
		Hint   string        `json:"hint"`
	} `json:"missing"`
}

func (c wireCoverage) coverage() bailey.Coverage {
	out := bailey.Coverage{Seen: int(c.Seen), Needed: int(c.Needed), Provider: int(c.Provider)}
	for _, m := range c.Missing {
		ref := m.ref()
		out.Missing = append(out.Missing, bailey.Missing{Kind: ref.Kind, Namespace: ref.Namespace, Name: ref.Name,
			Reason: m.Reason, Detail: m.Detail, Hint: m.Hint})
	}
	return out
}

type wireControl struct {
	ID    string           `json:"id"`
	Asks  string           `json:"asks"`
	Scope bailey.ScopeKind `json:"scope"`
	Rules []struct {
		ID       string          `json:"id"`
		Title    string          `json:"title"`
		Severity bailey.Severity `json:"severity"`
	} `json:"rules"`
}

func (w wireControl) control() *bailey.Control {
	c := &bailey.Control{ID: w.ID, Asks: w.Asks, Scope: w.Scope}
	for _, r := range w.Rules {
		c.Rules = append(c.Rules, &bailey.Rule{Name: strings.TrimPrefix(r.ID, w.ID+"/"), Title: r.Title, Severity: r.Severity})
	}
	return c
}

type wireRef struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (r wireRef) ref() bailey.Ref {
	ref := bailey.Ref{Kind: bailey.Kind(r.Kind), Namespace: r.Namespace, Name: r.Name}
	if r.Group != "" {
		ref.Kind += bailey.Kind("." + r.Group)
	}
	return ref
}

type wireScope struct {
	Kind        bailey.ScopeKind `json:"kind"`
	ObjectKind  string           `json:"objectKind"`
	ObjectGroup string           `json:"objectGroup"`
	Namespace   string           `json:"namespace"`
	Name        string           `json:"name"`
}

func (s wireScope) scope() bailey.Scope {
	return bailey.Scope{Kind: s.Kind, Object: wireRef{Group: s.ObjectGroup, Kind: s.ObjectKind, Namespace: s.Namespace, Name: s.Name}.ref()}
}

type wireVerdict struct {
	Control     string       `json:"control"`
	Scope       wireScope    `json:"scope"`
	Rung        bailey.Rung  `json:"rung"`
	Findings    wireCount    `json:"findings"`
	WaivedUntil wireTime     `json:"waivedUntil"`
	Coverage    wireCoverage `json:"coverage"`
	Proof       *wireProof   `json:"proof"`
	Next        string       `json:"next"`
}

func (w wireVerdict) verdict() bailey.Verdict {
	return bailey.Verdict{Control: w.Control, Scope: w.Scope.scope(), Rung: w.Rung, Findings: int(w.Findings),
		WaivedUntil: w.WaivedUntil.Time, Coverage: w.Coverage.coverage(), Proof: w.Proof.proof(), Next: w.Next}
}

type wireObject struct {
	APIVersion string `json:"apiVersion"`
	wireRef
}

type wireFinding struct {
	ID       string          `json:"id"`
	Control  string          `json:"control"`
	Rule     string          `json:"rule"`
	Severity bailey.Severity `json:"severity"`
	Base     bailey.Severity `json:"base"`
	Factors  []struct {
		Kind bailey.FactorKind `json:"kind"`
		Text string            `json:"text"`
		By   wireRef           `json:"by"`
	} `json:"factors"`
	Object  wireObject `json:"object"`
	Related []wireRef  `json:"related"`
	Cause   wireRef    `json:"cause"`
	Source  struct {
		File   string    `json:"file"`
		Line   wireCount `json:"line"`
		Column wireCount `json:"column"`
	} `json:"source"`
	Field   string       `json:"field"`
	Named   string       `json:"named"`
	Message string       `json:"message"`
	Fix     []wireChange `json:"fix"`
	Waiver  *struct {
		Rule      string   `json:"rule"`
		Kind      string   `json:"kind"`
		Namespace string   `json:"namespace"`
		Name      string   `json:"name"`
		Reason    string   `json:"reason"`
		Owner     string   `json:"owner"`
		Expires   wireTime `json:"expires"`
	} `json:"waiver"`
	Baseline bool `json:"baseline"`
}

type wireChange struct {
	Object  wireObject       `json:"object"`
	Patch   []bailey.PatchOp `json:"patch"`
	Content map[string]any   `json:"content"`
	Note    string           `json:"note"`
}

func (w wireFinding) finding() bailey.Finding {
	f := bailey.Finding{ID: w.ID, Control: w.Control, Rule: w.Rule, Severity: w.Severity, Base: w.Base,
		Object: w.Object.ref(), APIVersion: w.Object.APIVersion, Cause: w.Cause.ref(),
		Field: w.Field, Named: w.Named, Message: w.Message, Baseline: w.Baseline,
		Source: bailey.Source{File: w.Source.File, Line: int(w.Source.Line), Column: int(w.Source.Column)}}
	for _, r := range w.Related {
		f.Related = append(f.Related, r.ref())
	}
	for _, x := range w.Factors {
		f.Factors = append(f.Factors, bailey.Factor{Kind: x.Kind, Text: x.Text, By: x.By.ref()})
	}
	for _, c := range w.Fix {
		f.Fix = append(f.Fix, bailey.Change{Object: c.Object.ref(), APIVersion: c.Object.APIVersion,
			Patch: c.Patch, Content: c.Content, Note: c.Note})
	}
	if v := w.Waiver; v != nil {
		f.Waiver = &bailey.Waiver{Rule: v.Rule, Kind: v.Kind, Namespace: v.Namespace, Name: v.Name,
			Reason: v.Reason, Owner: v.Owner, Expires: v.Expires.Time}
	}
	return f
}

type wireDiff struct {
	Old       wireMeta      `json:"old"`
	Added     wireCount     `json:"added"`
	Unchanged wireCount     `json:"unchanged"`
	Fixed     []wireFinding `json:"fixed"`
	Unseen    []wireFinding `json:"unseen"`
}
