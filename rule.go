package bailey

// Rule is one thing that can be wrong with one object. A rule is data and pure
// functions: it fetches, writes and logs nothing, and its only clock is the view's.
type Rule struct {
	// Name is in kebab case and unique within its control; it is never reused.
	Name string
	// Title says what is wrong in a few words: "Container is privileged".
	Title string
	// Doc says in Markdown what the rule reads, why it matters, and its limits.
	Doc      string
	Severity Severity
	Refs     []Reference
	// On lists the kinds of object that the rule judges, one object at a time.
	On []Kind
	// FilesOnly tells a rule that can find something in files alone. A cluster
	// scan does not miss the objects that it judges.
	FilesOnly bool
	// Needs lists every other kind that Check, Fix or When reads, and Derives
	// every derived fact. A read of anything else is a defect of the rule and
	// makes its verdict unknown.
	Needs   []Kind
	Derives []*Derivation
	// Check gives what is wrong with the object. Of a Finding it sets Field,
	// Message and, where they apply, Named, Severity and Related.
	// What it reads and was not seen makes the verdict unknown, whatever Check says.
	Check func(v *View, f *Fact) []Finding
	// Fix gives the changes that silence the finding; nil where no mechanical
	// change can.
	Fix func(v *View, f *Fact, finding Finding) []Change
	// Bad holds minimal objects that violate the rule, as YAML. Of several
	// documents in one text the first is the violator, the others its surroundings.
	Bad []string
}

// Severity is what a finding gives an attacker, from informative to critical.
type Severity int

const (
	SeverityNone Severity = iota // not set: the rule's own severity holds
	SeverityInfo
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"none", "info", "low", "medium", "high", "critical"}

// String is the severity's lower-case name.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return "none"
	}
	return severityNames[s]
}

// MarshalText and UnmarshalText use the lower-case names.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes a name that String gives.
func (s *Severity) UnmarshalText(text []byte) error {
	parsed, err := ParseSeverity(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

// Derivation is a bigger fact computed from smaller ones, once per snapshot:
// a graph, an index. Compute is pure, and reads through the view it is given.
type Derivation struct {
	Name    string
	Needs   []Kind
	Compute func(v *View) any
}
