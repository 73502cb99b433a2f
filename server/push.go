package server

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// What a spoke pushes is lines of JSON: a header, then one thing a line, then the number of those
// lines, so that what was cut off is known to be.

const (
	pushFormat  = "bailey-push"
	pushVersion = 1
	// pushLine is the longest line, pushLines how many there may be, and pushBytes how much all of
	// it may be: some hundred thousand findings.
	pushLine  = 1 << 20
	pushLines = 2_000_000
	pushBytes = 256 << 20
)

// The kinds of push.
const (
	pushWhole = "whole" // the state of the cluster: what is not in it has gone
	pushDelta = "delta" // what changed since the push before
	pushHeard = "heard" // nothing changed
	// pushAlerts are alerts, those that changed or all.
	pushAlerts = "alerts"

	// noKind is what a hub, of any version, says of a kind that it does not know.
	noKind = "no kind of push"
)

// pushHeader says what a push is. Only the push that follows the one before in a session is taken:
// a change is one of something, and whole states begin sessions.
type pushHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	Kind    string `json:"kind"`
	Cluster string `json:"cluster"` // its UID
	Name    string `json:"name,omitempty"`
	Session string `json:"session"`
	Number  int    `json:"number"` // counts the pushes of a session from 0
	// All tells of a push of alerts that those that last are all in it: others are over.
	All bool `json:"all,omitempty"`
}

// pushed is one line; one of its fields is set.
type pushed struct {
	Finding  *pushedFinding  `json:"finding,omitempty"`
	Verdict  *bailey.Verdict `json:"verdict,omitempty"`
	Evidence *store.Evidence `json:"evidence,omitempty"`
	Guard    *store.Guard    `json:"guard,omitempty"`
	Judged   *bailey.Ref     `json:"judged,omitempty"`
	Gone     *bailey.Ref     `json:"gone,omitempty"`
	Alert    *store.Alert    `json:"alert,omitempty"`
	End      *int            `json:"end,omitempty"`
}

// pushedFinding is a finding, of whose source that goes which is kept.
type pushedFinding struct {
	bailey.Finding
	Source pushedSource
}

type pushedSource struct {
	File     string            `json:"file,omitempty"`
	Line     int               `json:"line,omitempty"`
	Column   int               `json:"column,omitempty"`
	Rendered *bailey.Rendering `json:"rendered,omitempty"`
}

func pushedFindingOf(f *bailey.Finding) *pushedFinding {
	return &pushedFinding{*f, pushedSource{f.Source.File, f.Source.Line, f.Source.Column, f.Source.Rendered}}
}

func (p *pushedFinding) finding() bailey.Finding {
	f := p.Finding
	f.Source = bailey.Source{File: p.Source.File, Line: p.Source.Line, Column: p.Source.Column, Rendered: p.Source.Rendered}
	return f
}

// writePush writes a push of what is found.
func writePush(w io.Writer, h pushHeader, d *store.Delta) error {
	return writeLines(w, h, func(write func(pushed) error) error {
		var err error
		for i := 0; i < len(d.Findings) && err == nil; i++ {
			f := d.Finding(i)
			err = write(pushed{Finding: pushedFindingOf(&f)})
		}
		for i := 0; i < len(d.Verdicts) && err == nil; i++ {
			err = write(pushed{Verdict: &d.Verdicts[i]})
		}
		for i := 0; i < len(d.Evidence) && err == nil; i++ {
			err = write(pushed{Evidence: &d.Evidence[i]})
		}
		for i := 0; i < len(d.Guards) && err == nil; i++ {
			err = write(pushed{Guard: &d.Guards[i]})
		}
		for i := 0; i < len(d.Judged) && err == nil; i++ {
			err = write(pushed{Judged: &d.Judged[i]})
		}
		for i := 0; i < len(d.Gone) && err == nil; i++ {
			err = write(pushed{Gone: &d.Gone[i]})
		}
		return err
	})
}

// writeLines writes a push, whose lines body writes.
func writeLines(w io.Writer, h pushHeader, body func(write func(pushed) error) error) error {
	out := bufio.NewWriterSize(w, 64<<10)
	lines := json.NewEncoder(out)
	h.Format, h.Version = pushFormat, pushVersion
	if err := lines.Encode(h); err != nil {
		return err
	}
	n := 0
	if err := body(func(p pushed) error { n++; return lines.Encode(p) }); err != nil {
		return err
	}
	if err := lines.Encode(pushed{End: &n}); err != nil {
		return err
	}
	return out.Flush()
}

// errPushLarge tells that a push is more than is taken.
var errPushLarge = fmt.Errorf("a push is at most %d MiB in %d lines of %d bytes", pushBytes>>20, pushLines, pushLine)

// pushReader reads a push, a line at a time, and takes nothing that a cluster cannot have.
type pushReader struct {
	lines *bufio.Scanner
	left  io.LimitedReader
	line  int
}

func newPushReader(r io.Reader) *pushReader {
	p := &pushReader{left: io.LimitedReader{R: r, N: pushBytes + 1}}
	p.lines = bufio.NewScanner(&p.left)
	p.lines.Buffer(make([]byte, 64<<10), pushLine)
	return p
}

func (p *pushReader) next(into any) error {
	p.line++
	switch {
	case p.line > pushLines+2:
		return errPushLarge
	case !p.lines.Scan():
		err := p.lines.Err()
		switch {
		case errors.Is(err, bufio.ErrTooLong), p.left.N <= 0:
			return errPushLarge
		case err == nil:
			return io.ErrUnexpectedEOF
		}
		return err
	case p.left.N <= 0:
		return errPushLarge
	}
	if err := json.Unmarshal(p.lines.Bytes(), into); err != nil {
		return fmt.Errorf("line %d: %w", p.line, err)
	}
	return nil
}

// header reads the first line.
func (p *pushReader) header() (pushHeader, error) {
	var h pushHeader
	err := p.next(&h)
	switch {
	case err != nil:
		return h, err
	case h.Format != pushFormat:
		return h, errors.New("line 1: this is no push of Bailey's")
	case h.Version != pushVersion:
		return h, fmt.Errorf("line 1: a push of version %d, and this hub takes version %d: both need the same Bailey", h.Version, pushVersion)
	case h.Kind != pushWhole && h.Kind != pushDelta && h.Kind != pushHeard && h.Kind != pushAlerts:
		return h, fmt.Errorf("line 1: "+noKind+": %.40q", h.Kind)
	case h.Session == "" || len(h.Session) > 64 || h.Number < 0 || h.Number > 1<<40 || (h.Kind == pushWhole) != (h.Number == 0):
		return h, errors.New("line 1: no session and number of a push")
	case h.Cluster == "" || len(h.Cluster) > 128 || len(h.Name) > 253:
		return h, errors.New("line 1: no UID and name of a cluster")
	}
	return h, nil
}

// delta reads what follows the header of a push of what is found.
func (p *pushReader) delta() (store.Delta, error) {
	var d store.Delta
	err := p.body(func(one *pushed) error { return take(&d, one) })
	return d, err
}

// body reads what follows the header, and has each line taken but the last.
func (p *pushReader) body(take func(one *pushed) error) error {
	for n := 0; ; n++ {
		var one pushed
		if err := p.next(&one); err != nil {
			return err
		}
		err := one.single()
		if err == nil && one.End == nil {
			err = take(&one)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", p.line, err)
		}
		if one.End == nil {
			continue
		}
		if *one.End != n {
			return fmt.Errorf("line %d: %d lines were written, and %d were read", p.line, *one.End, n)
		}
		if p.lines.Scan() {
			return fmt.Errorf("line %d: something follows the end", p.line+1)
		}
		return p.lines.Err()
	}
}

// single fails unless a line holds one thing.
func (p *pushed) single() error {
	set := 0
	for _, there := range []bool{p.Finding != nil, p.Verdict != nil, p.Evidence != nil, p.Guard != nil, p.Judged != nil, p.Gone != nil, p.Alert != nil, p.End != nil} {
		if there {
			set++
		}
	}
	if set != 1 {
		return errors.New("a line holds one thing")
	}
	return nil
}

// take adds what a line holds.
func take(d *store.Delta, one *pushed) error {
	switch {
	case one.Finding != nil:
		f := one.Finding.finding()
		if err := validFinding(&f); err != nil {
			return err
		}
		d.Findings = append(d.Findings, f)
	case one.Verdict != nil:
		if err := validVerdict(one.Verdict); err != nil {
			return err
		}
		d.Verdicts = append(d.Verdicts, *one.Verdict)
	case one.Evidence != nil:
		if err := validEvidence(one.Evidence); err != nil {
			return err
		}
		d.Evidence = append(d.Evidence, *one.Evidence)
	case one.Guard != nil:
		if err := errors.Join(validID(one.Guard.Control), validID(one.Guard.Name), validScope(one.Guard.Scope)); err != nil {
			return err
		}
		d.Guards = append(d.Guards, *one.Guard)
	case one.Judged != nil:
		if err := validRef(*one.Judged); err != nil {
			return err
		}
		d.Judged = append(d.Judged, *one.Judged)
	case one.Gone != nil:
		if err := validRef(*one.Gone); err != nil {
			return err
		}
		d.Gone = append(d.Gone, *one.Gone)
	default:
		return errors.New("alerts are pushed by themselves")
	}
	return nil
}

// The bounds of what is named and counted: those of Kubernetes, with room.
const (
	longestID = 256
	mostTries = 1_000_000_000
	// How many a thing may have of others: an entry takes more memory than it has text.
	mostRelated = 20_000
	mostParts   = 1_000
)

func validID(id string) error {
	if id == "" || len(id) > longestID || !printable(id) {
		return fmt.Errorf("no ID: %.40q", id)
	}
	return nil
}

func printable(s string) bool {
	return !bytes.ContainsFunc([]byte(s), func(r rune) bool { return r < ' ' || r == 0x7f })
}

func validRef(r bailey.Ref) error {
	if r.Kind == "" || r.Name == "" || len(r.Kind) > longestID || len(r.Namespace) > 63 || len(r.Name) > 4*longestID ||
		!printable(string(r.Kind)+r.Namespace+r.Name) {
		return fmt.Errorf("no object: %.40q %.40q %.40q", r.Kind, r.Namespace, r.Name)
	}
	return nil
}

func validScope(s bailey.Scope) error {
	if s.Kind == "" || len(s.Kind) > longestID || !printable(string(s.Kind)) {
		return fmt.Errorf("no scope: %.40q", s.Kind)
	}
	if s.Object == (bailey.Ref{}) {
		return nil
	}
	return validRef(s.Object)
}

func validFinding(f *bailey.Finding) error {
	if len(f.Related) > mostRelated || len(f.Factors) > mostParts || len(f.Fix) > mostParts {
		return errors.New("a finding with too many parts")
	}
	for _, ref := range f.Related {
		if err := validRef(ref); err != nil {
			return err
		}
	}
	for i := range f.Fix {
		if len(f.Fix[i].Patch) > mostParts {
			return errors.New("a finding with too many parts")
		}
	}
	return errors.Join(validID(f.ID), validID(f.Control), validID(f.Rule), validRef(f.Object))
}

func validVerdict(v *bailey.Verdict) error {
	if v.Findings < 0 || v.Coverage.Seen < 0 || v.Coverage.Needed < 0 || max(v.Findings, v.Coverage.Seen, v.Coverage.Needed) > mostTries {
		return errors.New("a verdict with impossible numbers")
	}
	if len(v.Coverage.Missing) > mostParts || v.Proof != nil && len(v.Proof.Broken) > mostRelated {
		return errors.New("a verdict with too many parts")
	}
	return errors.Join(validID(v.Control), validScope(v.Scope))
}

func validEvidence(e *store.Evidence) error {
	if max(len(e.Paths), len(e.Unclaimed), len(e.Untold)) > mostRelated {
		return errors.New("evidence with too many paths")
	}
	for _, t := range e.Paths {
		if min(t.Tried, t.Held, t.Broken, t.Inconclusive) < 0 || max(t.Tried, t.Held, t.Broken, t.Inconclusive) > mostTries {
			return errors.New("evidence with impossible numbers")
		}
	}
	if e.Ledger != nil && *e.Ledger > 1<<62 {
		return errors.New("evidence with an impossible index in the ledger")
	}
	return errors.Join(validID(e.ID), validID(e.Control), validID(e.Experiment), validScope(e.Scope))
}
