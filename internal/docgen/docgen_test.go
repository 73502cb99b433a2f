package docgen_test

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/internal/docgen"
	"github.com/baileyhq/bailey/internal/sources"
)

var (
	link    = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// dropped is what a heading's anchor leaves out of it.
	dropped = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// TestPages holds the pages of the real catalogue to their promises: one for
// each control, the same bytes each time, and no link that leads nowhere.
func TestPages(t *testing.T) {
	all := controls.All()
	pages := docgen.Pages(all)
	if len(pages) != len(all)+1 {
		t.Errorf("%d pages, want one for each of %d controls and the table", len(pages), len(all))
	}
	if again := docgen.Pages(all); !maps.EqualFunc(pages, again, slices.Equal[[]byte]) {
		t.Error("the same catalogue gave other pages")
	}
	for _, c := range all {
		if !strings.Contains(string(pages["docs/controls/README.md"]), "["+c.ID+"]("+c.ID+".md)") {
			t.Errorf("the table has no row for %s", c.ID)
		}
	}
	maps.Copy(pages, docgen.Detections(detect.All()))
	maps.Copy(pages, docgen.Coverage(sources.All()))
	for name, text := range pages {
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor := m[1], strings.TrimPrefix(m[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := text
			if target != "" {
				to = pages[path.Join(path.Dir(name), target)]
			}
			if to == nil || anchor != "" && !hasHeading(to, anchor) {
				t.Errorf("%s: the link %s leads nowhere", name, m[0])
			}
		}
	}
}

func hasHeading(page []byte, name string) bool {
	for _, m := range heading.FindAllSubmatch(page, -1) {
		if anchor := dropped.ReplaceAllString(strings.ToLower(string(m[1])), ""); strings.ReplaceAll(anchor, " ", "-") == name {
			return true
		}
	}
	return false
}

// sample is a control with one of everything that a page shows.
func sample() *bailey.Control {
	rule := &bailey.Rule{
		Name: "left-open", Title: "The gate | door is open", Doc: "Reads the gate.", Severity: bailey.SeverityHigh,
		On:      append(slices.Clone(bailey.PodBearing), bailey.KindNode),
		Needs:   []bailey.Kind{bailey.KindNamespace},
		Derives: []*bailey.Derivation{{Name: "reachability"}},
		Fix:     func(*bailey.View, *bailey.Fact, bailey.Finding) []bailey.Change { return nil },
		Bad:     []string{"\nkind: Gate\nopen: true\nnote: \"```\"\n", "kind: Other\n"},
	}
	return &bailey.Control{
		ID: "deploy/gate", Asks: "the gate is shut", Doc: "Why it is.", Scope: bailey.ScopeCluster,
		Refs: []bailey.Reference{
			{Source: "Book", ID: "7", Title: "Gates", URL: "https://example.com/7"},
			{Source: "Memory"},
		},
		Rules: []*bailey.Rule{rule, {Name: "rusty", Title: "It squeaks", Doc: "Listens.", Severity: bailey.SeverityLow, On: []bailey.Kind{bailey.KindNode}}},
		Guards: []*bailey.Guard{{Name: "keeper", Title: "Somebody shuts it", Doc: "At night.", Scope: bailey.ScopeNamespace,
			Covers: []*bailey.Rule{rule}}},
		Experiments: []*bailey.Experiment{{Name: "knock", Title: "Knock", Doc: "Politely.", Hypothesis: "Nobody opens.",
			Danger: bailey.DangerIsolated, Technique: "T1552.007", Window: 7 * 24 * time.Hour, Scope: bailey.ScopeNamespace, Needs: []bailey.Kind{bailey.KindNode},
			Detections: []string{"gate-knocked", "gate-opened"}, Places: []bailey.Place{bailey.PlaceNode, bailey.PlaceEtcd}}},
	}
}

const samplePage = `# deploy/gate

Asks that the gate is shut.

Holds or fails per cluster.

Why it is.

## Rules

| rule | severity | what is wrong |
| --- | --- | --- |
| [left-open](#left-open) | high | The gate \| door is open |
| [rusty](#rusty) | low | It squeaks |

### left-open

**The gate | door is open** (high, 'deploy/gate/left-open')

Reads the gate.

- Judges: every kind that is or makes pods, 'Node'
- Also reads: 'Namespace', the derived fact “reachability”
- Fix: Bailey gives the change with the finding.

An object that violates it:

''''yaml
kind: Gate
open: true
note: "'''"
''''

### rusty

**It squeaks** (low, 'deploy/gate/rusty')

Listens.

- Judges: 'Node'
- Fix: none that can be made mechanically; the message says what to decide.

## Guards

### keeper

**Somebody shuts it** (per namespace)

At night.

Covers [left-open](#left-open).

## Experiments

### knock

**Knock**

Politely.

- Hypothesis: Nobody opens.
- Danger: isolated (namespaces and objects of its own, removed afterwards; wants '--isolated')
- ATT&CK technique: [T1552.007](https://attack.mitre.org/techniques/T1552/007/)
- Should be noticed by the detections: [gate-knocked](../../detections.md#gate-knocked), [gate-opened](../../detections.md#gate-opened)
- Needs: a node that runs probe pods; etcd with a client certificate, or a snapshot of it
- Plans from: 'Node'
- Tried per namespace, each path at least 5 times; its evidence counts for 7 days
- Exact requests and RBAC on your cluster: 'bailey prove --explain deploy/gate'

## References

- [Book 7](https://example.com/7): Gates
- Memory
`

func TestPageOfOneControl(t *testing.T) {
	pages := docgen.Pages([]*bailey.Control{sample()})
	_, got, _ := strings.Cut(string(pages["docs/controls/deploy/gate.md"]), "\n\n")
	if want := strings.ReplaceAll(samplePage, "'", "`"); got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
	table := string(pages["docs/controls/README.md"])
	for _, want := range []string{
		"1 control, 1 of them checked by 2 rules.", "\n## Deploy\n",
		"| [deploy/gate](deploy/gate.md) | the gate is shut | cluster | 2 | 1 | 1 |\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
}

// TestEveryClassIsSaid: no class of danger and no place is left without words.
func TestEveryClassIsSaid(t *testing.T) {
	c := sample()
	x := c.Experiments[0]
	x.Detections, x.Places = nil, nil
	for _, danger := range bailey.Dangers {
		x.Danger = danger
		text := string(docgen.Pages([]*bailey.Control{c})["docs/controls/deploy/gate.md"])
		if !strings.Contains(text, "- Danger: "+string(danger)+" (") || !strings.Contains(text, "- Detections that are awaited: none\n") || strings.Contains(text, "- Needs:") {
			t.Errorf("%s:\n%s", danger, text)
		}
	}
}

func TestPageSaysWhatIsNotThere(t *testing.T) {
	c := sample()
	c.Rules, c.Guards, c.Experiments = nil, nil, nil
	text := string(docgen.Pages([]*bailey.Control{c})["docs/controls/deploy/gate.md"])
	if !strings.Contains(text, "this version does not check it") || strings.Count(text, "None in this version.") != 3 {
		t.Errorf("the page hides what is missing:\n%s", text)
	}
	c.Unprovable = "Gates are a matter of taste."
	if text = string(docgen.Pages([]*bailey.Control{c})["docs/controls/deploy/gate.md"]); !strings.Contains(text, c.Unprovable) {
		t.Errorf("the page does not say why nothing can prove the control:\n%s", text)
	}
}

func TestStaleAndWrite(t *testing.T) {
	root := t.TempDir()
	pages := docgen.Pages([]*bailey.Control{sample()})
	gate, table := "docs/controls/deploy/gate.md", "docs/controls/README.md"
	expect := func(when string, want ...string) {
		t.Helper()
		got, err := docgen.Stale(root, pages)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: stale are %v (%v), want %v", when, got, err, want)
		}
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expect("before", table, gate)
	if err := docgen.Write(root, pages); err != nil {
		t.Fatal(err)
	}
	expect("when written")

	put(gate, "changed")
	old := "docs/controls/deploy/old.md"
	put(old, string(pages[gate]))
	put("docs/controls/deploy/notes.md", "# By hand\n")
	expect("when changed", gate, old)

	if err := docgen.Write(root, pages); err != nil {
		t.Fatal(err)
	}
	expect("when written again")
	if _, err := os.Stat(filepath.Join(root, "docs/controls/deploy/notes.md")); err != nil {
		t.Errorf("a page that was written by hand is gone: %v", err)
	}
}
