package bailey

// Guard is something native that, once in place, keeps objects from violating
// the rules it covers.
type Guard struct {
	Name  string
	Title string
	Doc   string
	// Covers lists the rules of the control whose violations it stops.
	Covers []*Rule
	// Scope is the kind of thing that one instance of the guard covers.
	Scope ScopeKind
	Needs []Kind
	// Objects gives the changes that put the guard in place for a scope.
	Objects func(v *View, scope Ref) []Change
	// Present says whether the guard is in place for a scope: denying,
	// matching fully and failing closed.
	Present func(v *View, scope Ref) Presence
}

// Presence is whether a guard is in place, and why not.
type Presence struct {
	InPlace bool
	// Why names what is there or what is lacking: "enforce=baseline".
	Why string
}
