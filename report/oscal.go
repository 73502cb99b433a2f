package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/baileyhq/bailey"
)

const (
	oscalVersion = "1.1.3"
	// oscalNS qualifies the properties and measures of Bailey's own.
	oscalNS = "https://bailey.dev/ns/oscal"
	// trestleNS is the namespace in which compliance-trestle looks for rules and checks.
	trestleNS = "https://oscal-compass.github.io/compliance-trestle/schemas/oscal/cd"
	// nistCatalog is NIST's own OSCAL edition of SP 800-53 revision 5.
	nistCatalog = "https://raw.githubusercontent.com/usnistgov/oscal-content/main/nist.gov/SP800-53/rev5/json/NIST_SP-800-53_rev5_catalog.json"
	jsonMedia   = "application/json"
)

// The names of the documents in a folder.
const (
	oscalResultsFile    = "assessment-results.json"
	oscalPlanFile       = "assessment-plan.json"
	oscalComponentsFile = "component-definition.json"
	oscalSSPFile        = "system-security-plan.json"
)

// oscal writes one report as OSCAL documents. All identifiers are made from
// names (UUID version 5), so that the same subject has the same one in every run.
type oscal struct {
	r *bailey.Report
	o Options
	// subject names what was judged; it is part of every identifier that is not
	// of the catalogue.
	subject   string
	standings []*standing
	unchecked map[string]bool
	items     map[bailey.Ref]bool
	inventory []oscalInventoryItem
}

func newOSCAL(r *bailey.Report, o Options) *oscal {
	w := &oscal{r: r, o: o, unchecked: map[string]bool{}, items: map[bailey.Ref]bool{}}
	w.subject = "cluster " + r.Meta.ClusterUID
	if r.Meta.ClusterUID == "" {
		w.subject = r.Meta.Medium
		for _, t := range r.Meta.Targets {
			w.subject += "\x00" + t.Name
		}
	}
	standings, unchecked := ladder(r)
	w.standings = standings
	for _, c := range unchecked {
		w.unchecked[c.ID] = true
		w.standings = append(w.standings, &standing{control: c, rung: bailey.RungUnknown})
	}
	order := map[string]int{}
	for i, c := range r.Controls {
		order[c.ID] = i
	}
	slices.SortStableFunc(w.standings, func(a, b *standing) int {
		return cmp.Or(cmp.Compare(order[a.control.ID], order[b.control.ID]), cmp.Compare(a.control.ID, b.control.ID))
	})
	return w
}

// renderOSCAL writes the assessment results as one document that holds the
// plan and the component definition which it imports.
func renderOSCAL(w io.Writer, r *bailey.Report, o Options) error {
	doc := newOSCAL(r, o)
	components := encodeOSCAL(doc.components())
	held := doc.embedded("component-definition", oscalComponentsFile, "Component definition", components)
	plan := encodeOSCAL(doc.plan(held))
	resource := doc.embedded("assessment-plan", oscalPlanFile, "Assessment plan", plan)
	return writeOSCAL(w, doc.results(oscalImport{Href: "#" + resource.UUID}, resource, held))
}

// documentsOSCAL gives the three documents as files that name one another. The
// results come last: what they import is there before them.
func documentsOSCAL(r *bailey.Report, o Options) []Document {
	doc := newOSCAL(r, o)
	components := encodeOSCAL(doc.components())
	defined := doc.linked("component-definition", oscalComponentsFile, "Component definition", components)
	plan := encodeOSCAL(doc.plan(defined))
	planned := doc.linked("assessment-plan", oscalPlanFile, "Assessment plan", plan)
	whole := func(text []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(text); return err }
	}
	return []Document{
		{oscalComponentsFile, whole(components)},
		{oscalPlanFile, whole(plan)},
		{oscalResultsFile, func(w io.Writer) error {
			return writeOSCAL(w, doc.results(oscalImport{Href: oscalPlanFile}, planned, defined))
		}},
	}
}

func writeOSCAL(w io.Writer, document any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}

func encodeOSCAL(document any) []byte {
	var b bytes.Buffer
	if err := writeOSCAL(&b, document); err != nil {
		panic(err) // structs of strings, lists and numbers
	}
	return b.Bytes()
}

// embedded is a document inside of another one.
func (w *oscal) embedded(kind, file, title string, text []byte) oscalResource {
	return oscalResource{UUID: w.id("resource", kind), Title: title, Description: title + " in OSCAL, the whole document.",
		Base64: &oscalBase64{Filename: file, MediaType: jsonMedia, Value: base64.StdEncoding.EncodeToString(text)}}
}

// linked is a document that lies beside another one.
func (w *oscal) linked(kind, file, title string, text []byte) oscalResource {
	sum := sha256.Sum256(text)
	return oscalResource{UUID: w.id("resource", kind), Title: title, Description: title + " in OSCAL, in the file beside this one.",
		Rlinks: []oscalRlink{{Href: file, MediaType: jsonMedia, Hashes: []oscalHash{{Algorithm: "SHA-256", Value: hex.EncodeToString(sum[:])}}}}}
}

var oscalNames = uuid.NewSHA1(uuid.NameSpaceURL, []byte(oscalNS))

// catalogueID is the identifier of something that is the same wherever Bailey
// runs. Lengths keep the parts of a name apart.
func catalogueID(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(strconv.Itoa(len(part)) + ":" + part)
	}
	return uuid.NewSHA1(oscalNames, []byte(b.String())).String()
}

// id is the identifier of something of the subject: the same in every run.
func (w *oscal) id(parts ...string) string {
	return catalogueID(append([]string{w.subject}, parts...)...)
}

// runID is the identifier of something of this run alone.
func (w *oscal) runID(parts ...string) string {
	return w.id(append(parts, w.at())...)
}

// moment writes a time as OSCAL wants it. It knows the years 1900 to 2999: the
// zero time of an unknown moment becomes the epoch.
func oscalTime(t time.Time) string {
	if t = t.UTC(); t.Year() < 1900 || t.Year() > 2999 {
		t = time.Unix(0, 0).UTC()
	}
	return t.Format(time.RFC3339Nano)
}

func (w *oscal) at() string { return oscalTime(w.r.Meta.At) }

func (w *oscal) metadata(title, version string) oscalMetadata {
	return oscalMetadata{Title: title, LastModified: w.at(), Version: cmp.Or(line(version), "unknown"), OSCALVersion: oscalVersion,
		Props: w.props("tool-version", w.o.Version)}
}

// props makes properties of Bailey's namespace from pairs of name and value;
// those without a value are left out.
func (w *oscal) props(pairs ...string) []oscalProp {
	var props []oscalProp
	for i := 0; i < len(pairs); i += 2 {
		if value := line(pairs[i+1]); value != "" {
			props = append(props, oscalProp{Name: pairs[i], NS: oscalNS, Value: value})
		}
	}
	return props
}

// line makes a text into OSCAL's string: one line, no space at either end.
func line(s string) string { return strings.TrimSpace(clean(s)) }

// prose cleans a text of the catalogue, which is Markdown, line by line.
func prose(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

const markupPunctuation = "\\*_{}[]<>"

// markup escapes a stranger's text for OSCAL's Markdown: no HTML, no link and
// no parameter in it, but for `...`, which stays code.
func markup(s string) string {
	parts := strings.Split(clean(s), "`")
	if len(parts)%2 == 0 { // an odd backtick quotes nothing
		parts = []string{strings.Join(parts, "'")}
	}
	for i, part := range parts {
		if i%2 == 1 {
			parts[i] = mdCode(part)
			continue
		}
		var b strings.Builder
		for j := range len(part) {
			if strings.IndexByte(markupPunctuation, part[j]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(part[j])
		}
		parts[i] = b.String()
	}
	return strings.TrimSpace(strings.Join(parts, ""))
}

// titled is the markup of a name; there is always something to read.
func titled(s string) string { return cmp.Or(markup(s), "unnamed") }

// oscalToken makes a name into OSCAL's token: letters, digits, dot, dash and
// underscore, a letter first.
func oscalToken(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) || strings.ContainsRune(".-_", r) {
			return r
		}
		return '_'
	}, s)
	if r := []rune(s); len(r) == 0 || !unicode.IsLetter(r[0]) {
		return "_" + s
	}
	return s
}

var nistControl = regexp.MustCompile(`^([A-Z]{2})-([0-9]+)(?:\(([0-9]+)\))?$`)

// nistID is a control's identifier in NIST's catalogue: AC-6(1) is ac-6.1.
func nistID(id string) string {
	m := nistControl.FindStringSubmatch(id)
	if m == nil {
		return ""
	}
	name := strings.ToLower(m[1]) + "-" + m[2]
	if m[3] != "" {
		name += "." + m[3]
	}
	return name
}

// nistIDs lists what NIST's catalogue calls the controls that one refers to.
func nistIDs(c *bailey.Control) []string {
	var ids []string
	for _, ref := range c.Refs {
		if id := nistID(ref.ID); ref.Source == bailey.SourceNIST && id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// controlIDs are the controls that a control is reviewed for: NIST's, or where
// it refers to none its own.
func controlIDs(c *bailey.Control) []string {
	if ids := nistIDs(c); len(ids) > 0 {
		return ids
	}
	return []string{oscalToken(c.ID)}
}

// objectiveID names the objective that a control is, within the plan.
func objectiveID(c *bailey.Control) string {
	return controlIDs(c)[0] + "_obj.bailey." + oscalToken(c.ID)
}

// references are the properties that name a control and what asks for it.
func (w *oscal) references(c *bailey.Control) []oscalProp {
	props := w.props("control", c.ID)
	for _, id := range nistIDs(c) {
		props = append(props, oscalProp{Name: "nist-sp-800-53r5", NS: oscalNS, Value: id})
	}
	for _, ref := range c.Refs {
		if id := line(ref.ID); ref.Source == bailey.SourceCNCF && id != "" {
			props = append(props, oscalProp{Name: "cncf-controls-catalog", NS: oscalNS, Value: id})
		}
	}
	return props
}

// selected selects controls by NIST's identifiers, each once, in order.
func selected(description string, controls []*bailey.Control) oscalControlSelection {
	var ids []string
	for _, c := range controls {
		ids = append(ids, controlIDs(c)...)
	}
	slices.SortFunc(ids, compareControlIDs)
	s := oscalControlSelection{Description: description}
	for _, id := range slices.Compact(ids) {
		s.Include = append(s.Include, oscalSelectedControl{id})
	}
	return s
}

// compareControlIDs puts ac-6 before ac-17, and ac-6.1 behind it.
func compareControlIDs(a, b string) int {
	number := func(s string) (family string, n, m int) {
		family, rest, _ := strings.Cut(s, "-")
		main, sub, _ := strings.Cut(rest, ".")
		n, _ = strconv.Atoi(main)
		m, _ = strconv.Atoi(sub)
		return family, n, m
	}
	af, an, am := number(a)
	bf, bn, bm := number(b)
	return cmp.Or(cmp.Compare(af, bf), cmp.Compare(an, bn), cmp.Compare(am, bm), cmp.Compare(a, b))
}

// checkedControls are those that this version has rules or experiments for.
func (w *oscal) checkedControls() []*bailey.Control {
	var out []*bailey.Control
	for _, c := range w.r.Controls {
		if len(c.Rules)+len(c.Experiments) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func (w *oscal) toolID() string     { return catalogueID("tool") }
func (w *oscal) platformID() string { return w.id("platform") }
func examineTaskID() string         { return catalogueID("task", "examine") }
func dangerTaskID(d bailey.Danger) string {
	return catalogueID("task", "experiments", string(d))
}

// systemName is what a person calls the platform.
func (w *oscal) systemName() string {
	m := &w.r.Meta
	if m.Context != "" {
		return cmp.Or(line(m.Context), "unnamed")
	}
	var names []string
	for _, t := range m.Targets[:min(3, len(m.Targets))] {
		names = append(names, line(t.Name))
	}
	return cmp.Or(line(strings.Join(names, ", ")), "unnamed")
}

// platform is the component that is assessed.
func (w *oscal) platform(definition string) oscalComponent {
	m := &w.r.Meta
	props := w.props("medium", m.Medium, "cluster-uid", m.ClusterUID, "context", m.Context)
	if !m.Version.IsZero() {
		props = append(props, w.props("kubernetes-version", m.Version.String(), "kubernetes-version-assumed", strconv.FormatBool(m.AssumedVersion))...)
	}
	return oscalComponent{UUID: w.platformID(), Type: "service", Title: titled("Kubernetes platform " + w.systemName()),
		Description: "The platform, or the manifests of one, that was assessed.", Props: props,
		Links:  []oscalLink{{Href: "#" + definition, Rel: "component-definition", Fragment: definedPlatformID(), Text: "What the platform must hold, and what checks it."}},
		Status: oscalState{State: "operational"}}
}

// assets are what assesses.
func (w *oscal) assets() oscalAssets {
	return oscalAssets{
		Components: []oscalComponent{{UUID: w.toolID(), Type: "software", Title: "Bailey", Description: "Checks, enforces and proves the controls of cloud native security.",
			Props: w.props("version", w.o.Version), Status: oscalState{State: "operational"}}},
		Platforms: []oscalPlatform{{UUID: w.id("assessment-platform"), Title: "Bailey", Uses: []oscalUse{{w.toolID()}}}},
	}
}

func (w *oscal) origin(tasks ...string) []oscalOrigin {
	o := oscalOrigin{Actors: []oscalActor{{Type: "tool", ActorUUID: w.toolID()}}}
	for _, task := range tasks {
		o.Tasks = append(o.Tasks, oscalRelatedTask{task})
	}
	return []oscalOrigin{o}
}
