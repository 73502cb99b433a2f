// Package sources says of each item of the documents that ask something of a Kubernetes
// platform what in Bailey decides it, or why nothing does. docs/coverage.md is made from it.
//
// Titles are in our words. A document is named with the edition that was read, since its
// items are counted and numbered by it.
package sources

// Source is a document that asks for things, item by item.
type Source struct {
	Name string
	// Edition says which text was read.
	Edition string
	URL     string
	// Note says how items are told apart, where the document does not number them.
	Note  string
	Items []Item
}

// Item is one thing that a source asks for. It has By, Unasked, Reason or Lacking, and
// one of them only.
type Item struct {
	// ID is the source's own number, else a name of ours that stays.
	ID    string
	Title string
	// By names what decides it: rules and experiments as "<control>/<name>", detections by
	// their name.
	By []string
	// Left says what of the item By leaves open; empty if nothing.
	Left string
	// Unasked says why no rule asks for a setting that Bailey reads.
	Unasked string
	// Reason says why no machine can decide the item from objects, components and nodes.
	Reason string
	// Lacking says what Bailey would have to do, and does not yet.
	Lacking string
	// NIST holds the controls of NIST SP 800-53r5 to which the source itself maps the item.
	NIST string
}

// State is how far an item is decided.
type State string

const (
	Decided  State = "decided"
	Partly   State = "partly"
	NotYet   State = "not yet"
	NotAsked State = "not asked for"
	Beyond   State = "beyond a machine"
)

// State says how far the item is decided.
func (i *Item) State() State {
	switch {
	case len(i.By) > 0 && i.Left == "":
		return Decided
	case len(i.By) > 0:
		return Partly
	case i.Lacking != "":
		return NotYet
	case i.Unasked != "":
		return NotAsked
	}
	return Beyond
}

// Count gives the number of items in a state.
func (s *Source) Count(state State) int {
	n := 0
	for i := range s.Items {
		if s.Items[i].State() == state {
			n++
		}
	}
	return n
}

// All gives the sources, in the order of the page.
func All() []*Source {
	return []*Source{checklist, applicationChecklist, rbacPractices, bypassRisks, secretPractices, kernelConstraints,
		schedulerHardening, authenticationHardening, authorizationHardening, limitsHardening, devicesHardening, tenancy, webhookPractices, cis, nsa, cncf}
}

// by is an item that is decided.
func by(id, title string, names ...string) Item { return Item{ID: id, Title: title, By: names} }

// but says what is left open of an item that is decided in part.
func (i Item) but(left string) Item {
	i.Left = left
	return i
}

// nist gives the controls of NIST SP 800-53r5 to which the source maps the item.
func (i Item) nist(controls string) Item {
	i.NIST = controls
	return i
}

// unasked is an item whose setting is read, and for which no rule asks, and why.
func unasked(id, title, reason string) Item { return Item{ID: id, Title: title, Unasked: reason} }

// no is an item that no machine can decide, and why.
func no(id, title, reason string) Item { return Item{ID: id, Title: title, Reason: reason} }

// yet is an item that is not decided yet, and what it takes.
func yet(id, title, lacking string) Item { return Item{ID: id, Title: title, Lacking: lacking} }
