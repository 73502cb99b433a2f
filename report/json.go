package report

import (
	_ "embed"
	"io"
	"strconv"
	"time"

	"github.com/baileyhq/bailey"
)

// SchemaVersion is the version of the JSON report. Within one version fields
// are only added; a field that goes away or changes its meaning makes a new one.
const SchemaVersion = 1

//go:embed schema/report-v1.json
var schema []byte

// Schema gives the JSON Schema (draft 2020-12) of the JSON report.
func Schema() []byte { return append([]byte(nil), schema...) }

// jsonWriter appends JSON to a buffer and hands it on in blocks, so that a
// report is never in memory a second time.
type jsonWriter struct {
	w   io.Writer
	b   []byte
	err error
	o   Options
	r   *bailey.Report
}

const jsonBlock = 1 << 16

func (j *jsonWriter) flush(over int) {
	if len(j.b) > over {
		if j.err == nil {
			_, j.err = j.w.Write(j.b)
		}
		j.b = j.b[:0]
	}
}

func (j *jsonWriter) raw(s string) { j.b = append(j.b, s...) }

// key begins a field; the value must follow.
func (j *jsonWriter) key(name string) {
	if c := j.b[len(j.b)-1]; c != '{' {
		j.b = append(j.b, ',')
	}
	j.b = append(append(append(j.b, '"'), name...), '"', ':')
}

func (j *jsonWriter) text(name, value string) {
	j.key(name)
	j.b = appendString(j.b, value)
}

// some writes a text field unless it is empty.
func (j *jsonWriter) some(name, value string) {
	if value != "" {
		j.text(name, value)
	}
}

func (j *jsonWriter) int(name string, value int) {
	j.key(name)
	j.b = strconv.AppendInt(j.b, int64(value), 10)
}

func (j *jsonWriter) bool(name string, value bool) {
	j.key(name)
	j.b = strconv.AppendBool(j.b, value)
}

func (j *jsonWriter) time(name string, value time.Time) {
	j.text(name, value.UTC().Format(time.RFC3339Nano))
}

// array writes a field that is a list of n elements. With lines each element
// begins a line.
func (j *jsonWriter) array(name string, n int, lines bool, element func(i int)) {
	j.key(name)
	j.raw("[")
	for i := range n {
		if i > 0 {
			j.raw(",")
		}
		if lines {
			j.raw("\n")
		}
		element(i)
		j.flushElement(lines)
	}
	j.raw("]")
}

// flushElement hands a block on between two elements; the last byte stays, for
// key looks at it.
func (j *jsonWriter) flushElement(top bool) {
	if top && len(j.b) > jsonBlock {
		last := j.b[len(j.b)-1]
		j.b = j.b[:len(j.b)-1]
		j.flush(0)
		j.b = append(j.b, last)
	}
}

func renderJSON(w io.Writer, r *bailey.Report, o Options) error {
	j := &jsonWriter{w: w, b: make([]byte, 0, jsonBlock+1<<12), o: o, r: r}
	j.raw("{")
	j.int("schemaVersion", SchemaVersion)
	j.raw(",\n")
	j.raw(`"meta":`)
	j.meta(&r.Meta, true)
	j.array("targets", len(r.Meta.Targets), true, func(i int) { j.target(&r.Meta.Targets[i]) })
	j.summary()
	j.array("controls", len(r.Controls), true, func(i int) { j.control(r.Controls[i]) })
	j.array("verdicts", len(r.Verdicts), true, func(i int) { j.verdict(&r.Verdicts[i]) })
	j.array("findings", len(r.Findings), true, func(i int) { j.finding(&r.Findings[i], true) })
	if len(r.Evidence) > 0 {
		j.array("evidence", len(r.Evidence), true, func(i int) { j.evidence(&r.Evidence[i]) })
	}
	if d := r.Diff; d != nil {
		j.key("diff")
		j.raw("{")
		j.key("old")
		j.meta(&d.Old, false)
		j.int("added", d.Added)
		j.int("unchanged", d.Unchanged)
		// The rules may not apply to what was judged another time: no fixes.
		j.array("fixed", len(d.Fixed), true, func(i int) { j.finding(&d.Fixed[i], false) })
		j.array("unseen", len(d.Unseen), true, func(i int) { j.finding(&d.Unseen[i], false) })
		j.raw("}")
	}
	j.raw("}\n")
	j.flush(0)
	return j.err
}

func (j *jsonWriter) meta(m *bailey.Meta, own bool) {
	j.raw("{")
	if own {
		j.text("tool", "bailey")
		j.some("toolVersion", j.o.Version)
	}
	j.time("at", m.At)
	j.text("medium", m.Medium)
	j.some("clusterUID", m.ClusterUID)
	j.some("context", m.Context)
	if !m.Version.IsZero() {
		j.text("kubernetesVersion", m.Version.String())
	}
	j.bool("assumedVersion", m.AssumedVersion)
	if own {
		j.key("tookSeconds")
		j.b = strconv.AppendFloat(j.b, j.r.Took.Round(time.Microsecond).Seconds(), 'f', -1, 64)
	}
	j.raw("}")
}

func (j *jsonWriter) target(t *bailey.Target) {
	j.raw("{")
	j.text("name", t.Name)
	j.text("medium", t.Medium)
	j.int("objects", t.Objects)
	for _, part := range []struct {
		name  string
		skips []bailey.Skip
	}{{"skipped", t.Skipped}, {"ignored", t.Ignored}} {
		j.array(part.name, len(part.skips), false, func(i int) {
			j.raw("{")
			j.text("what", part.skips[i].What)
			j.text("why", part.skips[i].Why)
			j.some("hint", part.skips[i].Hint)
			j.raw("}")
		})
	}
	j.raw("}")
}

func (j *jsonWriter) summary() {
	t := tallyOf(j.r, bailey.SeverityNone)
	j.key("summary")
	j.raw("{")
	j.int("facts", j.r.Facts)
	j.key("findings")
	j.raw("{")
	j.int("open", t.open)
	for s := bailey.SeverityCritical; s > bailey.SeverityNone; s-- {
		j.int(s.String(), t.severity[s])
	}
	j.int("waived", t.waived)
	j.int("baseline", t.baseline)
	j.raw("}")
	standings, unchecked := ladder(j.r)
	var at [bailey.RungProven + 1]int
	for _, s := range standings {
		at[s.rung]++
	}
	j.key("controls")
	j.raw("{")
	for rung := bailey.RungGap; rung <= bailey.RungProven; rung++ {
		j.int(rung.String(), at[rung])
	}
	j.int("unchecked", len(unchecked))
	j.raw("}")
	j.coverage(j.r.Coverage)
	j.raw("}")
}

func (j *jsonWriter) control(c *bailey.Control) {
	j.raw("{")
	j.text("id", c.ID)
	j.text("asks", c.Asks)
	j.text("scope", string(c.Scope))
	j.array("rules", len(c.Rules), false, func(i int) {
		j.raw("{")
		j.text("id", c.RuleID(c.Rules[i]))
		j.text("title", c.Rules[i].Title)
		j.text("severity", c.Rules[i].Severity.String())
		j.raw("}")
	})
	j.raw("}")
}

func (j *jsonWriter) verdict(v *bailey.Verdict) {
	j.raw("{")
	j.text("control", v.Control)
	j.scope(v.Scope)
	j.text("rung", v.Rung.String())
	j.int("findings", v.Findings)
	if !v.WaivedUntil.IsZero() {
		j.time("waivedUntil", v.WaivedUntil)
	}
	j.coverage(v.Coverage)
	if v.Proof != nil {
		j.proof(v.Proof)
	}
	j.text("next", v.Next)
	j.raw("}")
}

func (j *jsonWriter) scope(s bailey.Scope) {
	j.key("scope")
	j.raw("{")
	j.text("kind", string(s.Kind))
	if ref := s.Object; ref != (bailey.Ref{}) {
		kind, group := ref.Kind.Split()
		j.text("objectKind", kind)
		j.some("objectGroup", group)
		j.some("namespace", ref.Namespace)
		j.text("name", ref.Name)
	}
	j.raw("}")
}

func (j *jsonWriter) coverage(c bailey.Coverage) {
	j.key("coverage")
	j.raw("{")
	j.int("seen", c.Seen)
	j.int("needed", c.Needed)
	if c.Provider > 0 {
		j.int("provider", c.Provider)
	}
	j.array("missing", len(c.Missing), false, func(i int) {
		m := &c.Missing[i]
		kind, group := m.Kind.Split()
		j.raw("{")
		j.text("kind", kind)
		j.some("group", group)
		j.some("namespace", m.Namespace)
		j.some("name", m.Name)
		j.text("reason", string(m.Reason))
		j.some("detail", m.Detail)
		j.some("hint", m.Hint)
		j.raw("}")
	})
	j.raw("}")
}

func (j *jsonWriter) finding(f *bailey.Finding, own bool) {
	j.raw("{")
	j.text("id", f.ID)
	j.text("control", f.Control)
	j.text("rule", f.Rule)
	j.text("severity", f.Severity.String())
	if f.Base != bailey.SeverityNone {
		j.text("base", f.Base.String())
		j.array("factors", len(f.Factors), false, func(i int) {
			j.raw("{")
			j.text("kind", string(f.Factors[i].Kind))
			j.text("text", f.Factors[i].Text)
			j.key("by")
			j.object(f.Factors[i].By, "", false)
			j.raw("}")
		})
	}
	j.key("object")
	j.object(f.Object, f.APIVersion, true)
	j.array("related", len(f.Related), false, func(i int) { j.object(f.Related[i], "", false) })
	if f.Cause != (bailey.Ref{}) {
		j.key("cause")
		j.object(f.Cause, "", false)
	}
	if s := f.Source; s.File != "" || s.Line > 0 {
		j.key("source")
		j.raw("{")
		j.text("file", s.File)
		if s.Line > 0 {
			j.int("line", s.Line)
		}
		if s.Column > 0 {
			j.int("column", s.Column)
		}
		j.raw("}")
	}
	j.some("field", f.Field)
	j.some("named", f.Named)
	j.text("message", f.Message)
	fix := f.Fix
	if own {
		fix = j.r.FixOf(f)
	}
	j.array("fix", len(fix), false, func(i int) { j.change(f, &fix[i]) })
	if w := f.Waiver; w != nil {
		j.key("waiver")
		j.raw("{")
		j.text("rule", w.Rule)
		j.some("kind", w.Kind)
		j.some("namespace", w.Namespace)
		j.some("name", w.Name)
		j.text("reason", w.Reason)
		j.text("owner", w.Owner)
		j.time("expires", w.Expires)
		j.raw("}")
	}
	if f.Baseline {
		j.bool("baseline", true)
	}
	j.raw("}")
}

// object writes a reference. The group is there besides the version because
// the version is known of the object itself only.
func (j *jsonWriter) object(ref bailey.Ref, apiVersion string, versioned bool) {
	kind, group := ref.Kind.Split()
	j.raw("{")
	if versioned {
		j.text("apiVersion", apiVersion)
	}
	j.some("group", group)
	j.text("kind", kind)
	j.some("namespace", ref.Namespace)
	j.text("name", ref.Name)
	j.raw("}")
}

func (j *jsonWriter) change(f *bailey.Finding, c *bailey.Change) {
	j.raw("{")
	j.key("object")
	j.object(c.Object, c.APIVersion, true)
	if len(c.Patch) > 0 {
		j.key("patch")
		j.b = appendPatch(j.b, c.Patch)
	}
	if c.Content != nil {
		j.key("content")
		j.b = appendValue(j.b, c.Content)
	}
	j.some("note", c.Note)
	j.text("summary", DescribeChange(*c, causeOf(f)))
	for _, command := range fixCommands(j.r, j.o, f, []bailey.Change{*c}) {
		j.text("command", command)
	}
	j.raw("}")
}
