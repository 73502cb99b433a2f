package check

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/baileyhq/bailey"
)

// Baseline is the set of findings, by ID, that were there when it was written
// and that a later scan does not fail on.
type Baseline map[string]bool

// baselineFile is the form on disk. The rule and object are for people; only
// the ID counts.
type baselineFile struct {
	SchemaVersion string          `json:"schemaVersion"`
	At            time.Time       `json:"at"`
	Findings      []baselineEntry `json:"findings"`
}

type baselineEntry struct {
	ID     string `json:"id"`
	Rule   string `json:"rule"`
	Object string `json:"object"`
}

const (
	baselineSchema = "bailey.baseline/v1"
	baselineLimit  = 64 << 20 // bytes; over 300,000 findings
)

// WriteBaseline writes the report's findings, without waived ones, as a
// baseline, sorted so that a version control system shows small differences.
func WriteBaseline(w io.Writer, r *bailey.Report) error {
	file := baselineFile{SchemaVersion: baselineSchema, At: r.Meta.At, Findings: []baselineEntry{}}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Waiver == nil {
			file.Findings = append(file.Findings, baselineEntry{f.ID, f.Rule, f.Object.String()})
		}
	}
	slices.SortFunc(file.Findings, func(a, b baselineEntry) int {
		return strings.Compare(a.Rule+a.Object+a.ID, b.Rule+b.Object+b.ID)
	})
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(file)
}

// ReadBaseline reads what WriteBaseline wrote.
func ReadBaseline(r io.Reader) (Baseline, error) {
	data, err := io.ReadAll(io.LimitReader(r, baselineLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > baselineLimit {
		return nil, fmt.Errorf("the baseline is larger than %d MiB", baselineLimit>>20)
	}
	var file baselineFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("not a baseline: %w\nhint: `bailey baseline` writes one", err)
	}
	if file.SchemaVersion != baselineSchema {
		return nil, fmt.Errorf("the baseline's schemaVersion is %q, not %q\nhint: write it again with `bailey baseline`", file.SchemaVersion, baselineSchema)
	}
	b := Baseline{}
	for _, entry := range file.Findings {
		b[entry.ID] = true
	}
	return b, nil
}
