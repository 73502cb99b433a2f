package controls_test

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
)

// frozen lists the IDs in the order of the page. An ID is never reused, so
// this list only grows.
var frozen = []string{
	"develop/environment", "develop/app-design", "develop/zero-trust", "develop/code-review",
	"develop/threat-model", "develop/fuzzing", "develop/chaos",
	"distribute/vulnerabilities", "distribute/components", "distribute/transport", "distribute/updates",
	"distribute/signatures", "distribute/advisories", "distribute/registry-access",
	"deploy/admission", "deploy/image-identity", "deploy/foundation",
	"access/api-server", "access/api-bypass", "access/authentication", "access/authorization",
	"access/service-accounts", "access/tls", "access/certificate-signing",
	"compute/pod-security", "compute/node-os", "compute/quotas", "compute/node-isolation",
	"compute/sandbox", "compute/syscalls",
	"storage/volumes", "storage/api-encryption", "storage/backups", "storage/network-storage",
	"storage/app-encryption", "storage/key-hardware",
	"network/policy", "network/mesh", "network/encryption", "network/plugin",
	"observe/detection", "observe/telemetry", "observe/dashboard", "observe/ledger",
	"observe/measured-boot", "observe/time",
}

var (
	controlID = regexp.MustCompile(`^[a-z]+/[a-z]+(-[a-z]+)*$`)
	kebab     = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

func ids() []string {
	var out []string
	for _, c := range controls.All() {
		out = append(out, c.ID)
	}
	return out
}

func TestIDs(t *testing.T) {
	if got := ids(); !slices.Equal(got, frozen) {
		t.Errorf("the catalogue is %v, want %v", got, frozen)
	}
	seen := map[string]bool{}
	for _, id := range ids() {
		if seen[id] {
			t.Errorf("%s is declared twice", id)
		}
		seen[id] = true
		if !controlID.MatchString(id) {
			t.Errorf("%q is not <area>/<kebab-name>", id)
		}
	}
}

// spec reads a file of the specification, which lies beside the repository on
// the machines of those who build it.
func spec(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../shared/spec/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the specification's %s is not beside this checkout: only the frozen list is compared", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestIDsAreThoseOfTheContract(t *testing.T) {
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^- id: (\S+)$`).FindAllStringSubmatch(spec(t, "controls.yaml"), -1) {
		want = append(want, m[1])
	}
	if got := ids(); !slices.Equal(got, want) {
		t.Errorf("the catalogue is %v, the contract's is %v", got, want)
	}
}

func TestDeclarations(t *testing.T) {
	scopes := []bailey.ScopeKind{
		bailey.ScopeCluster, bailey.ScopeNamespace, bailey.ScopeWorkload,
		bailey.ScopeImage, bailey.ScopeNode, bailey.ScopeRepository,
	}
	for _, c := range controls.All() {
		t.Run(c.ID, func(t *testing.T) {
			if c.Asks == "" || strings.HasSuffix(c.Asks, ".") || strings.Contains(c.Asks, "\n") {
				t.Errorf("Asks is %q, want one clause without a full stop", c.Asks)
			}
			checkText(t, "Doc", c.Doc)
			if n := strings.Count(c.Doc, "\n") + 1; n < 5 {
				t.Errorf("Doc has %d lines, want 5 or more", n)
			}
			if !slices.Contains(scopes, c.Scope) {
				t.Errorf("Scope is %q", c.Scope)
			}
			checkRefs(t, c.Refs, 3, 2)
			checkRules(t, c)
			checkGuards(t, c)
			checkExperiments(t, c)
		})
	}
}

// checkText holds texts to a width at which they can be read in a terminal and
// in the source.
func checkText(t *testing.T, what, text string) {
	t.Helper()
	if strings.TrimSpace(text) == "" {
		t.Errorf("%s is empty", what)
	}
	for i, line := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("%s: line %d has %d columns, want at most 120", what, i+1, n)
		}
	}
}

func checkRefs(t *testing.T, refs []bailey.Reference, least, leastSources int) {
	t.Helper()
	sources := map[string]bool{}
	for i, r := range refs {
		sources[r.Source] = true
		if r.Source == "" || r.ID == "" && r.Title == "" {
			t.Errorf("reference %+v names no source or no place in it", r)
		}
		if r.Title == "" && r.Source != bailey.SourceNSA {
			t.Errorf("%s %s has no title: add it to controls/internal/ref/titles.go", r.Source, r.ID)
		}
		if !strings.HasPrefix(r.URL, "https://") {
			t.Errorf("%s %s has the URL %q", r.Source, r.ID, r.URL)
		}
		if slices.Contains(refs[:i], r) {
			t.Errorf("%s %s is referred to twice", r.Source, r.ID)
		}
	}
	if len(refs) < least || len(sources) < leastSources {
		t.Errorf("%d references to %d sources, want %d or more to %d or more", len(refs), len(sources), least, leastSources)
	}
}

func checkRules(t *testing.T, c *bailey.Control) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range c.Rules {
		if !kebab.MatchString(r.Name) {
			t.Errorf("the rule name %q is not in kebab case", r.Name)
		}
		if seen[r.Name] {
			t.Errorf("two rules are named %s", r.Name)
		}
		seen[r.Name] = true
		if r.Title == "" || strings.HasSuffix(r.Title, ".") {
			t.Errorf("%s: Title is %q", r.Name, r.Title)
		}
		checkText(t, r.Name+": Doc", r.Doc)
		if r.Severity < bailey.SeverityInfo || r.Severity > bailey.SeverityCritical {
			t.Errorf("%s has no severity", r.Name)
		}
		if len(r.On) == 0 {
			t.Errorf("%s judges no kind", r.Name)
		}
		if r.Check == nil {
			t.Errorf("%s has no Check", r.Name)
		}
		if len(r.Bad) == 0 {
			t.Errorf("%s has no object that violates it in Bad", r.Name)
		}
		checkRefs(t, r.Refs, 0, 0)
	}
}

func checkGuards(t *testing.T, c *bailey.Control) {
	t.Helper()
	for _, g := range c.Guards {
		if !kebab.MatchString(g.Name) {
			t.Errorf("the guard name %q is not in kebab case", g.Name)
		}
		checkText(t, "guard "+g.Name+": Title", g.Title)
		checkText(t, "guard "+g.Name+": Doc", g.Doc)
		if (g.Objects == nil) == (g.Settings == nil) || g.Present == nil {
			t.Errorf("guard %s lacks Present, or one of Objects and Settings", g.Name)
		}
		if g.Objects != nil && g.OptIn == "" && len(g.Covers)+len(g.Tried) == 0 {
			t.Errorf("guard %s covers no rule, and no experiment tries it", g.Name)
		}
		for _, e := range g.Tried {
			if !slices.Contains(c.Experiments, e) {
				t.Errorf("guard %s is tried by %s, which is not an experiment of the control", g.Name, e.Name)
			}
		}
		for _, r := range g.Covers {
			if !slices.Contains(c.Rules, r) {
				t.Errorf("guard %s covers %s, which is not a rule of the control", g.Name, r.Name)
			}
		}
	}
}

func checkExperiments(t *testing.T, c *bailey.Control) {
	t.Helper()
	for _, e := range c.Experiments {
		if !kebab.MatchString(e.Name) {
			t.Errorf("the experiment name %q is not in kebab case", e.Name)
		}
		checkText(t, "experiment "+e.Name+": Title", e.Title)
		checkText(t, "experiment "+e.Name+": Doc", e.Doc)
		checkText(t, "experiment "+e.Name+": Hypothesis", e.Hypothesis)
		if e.Plan == nil || e.Danger == "" || e.Window <= 0 {
			t.Errorf("experiment %s lacks a plan, a danger or a window", e.Name)
		}
	}
	if len(c.Experiments) > 0 && c.Unprovable != "" {
		t.Errorf("the control is unprovable and has experiments")
	}
	tried := slices.Contains([]string{"access", "compute", "network", "deploy", "storage"}, c.Area())
	if tried && len(c.Experiments) == 0 && c.Unprovable == "" {
		t.Errorf("the control has no experiment, and does not say why")
	}
}

// TestCatalogueRows compares the CNCF rows with the catalogue itself: each
// exists, is not one of the first 140, which recur in v2, and has its title in
// our words.
func TestCatalogueRows(t *testing.T) {
	rows, err := csv.NewReader(strings.NewReader(spec(t, "cncf-controls-catalog.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	for _, row := range rows[1:] {
		titles[row[0]] = row[3]
	}
	for _, c := range controls.All() {
		for _, r := range c.Refs {
			if r.Source != bailey.SourceCNCF {
				continue
			}
			title, found := titles[r.ID]
			if n, err := strconv.Atoi(r.ID); err != nil || n <= 140 || !found {
				t.Errorf("%s: the catalogue has no row %s of v2", c.ID, r.ID)
			}
			if strings.EqualFold(strings.TrimSpace(title), r.Title) {
				t.Errorf("%s: the title of row %s is the catalogue's own", c.ID, r.ID)
			}
		}
	}
}
