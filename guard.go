package bailey

// Guard is something native that, once in place, keeps objects from violating
// the rules it covers, or requests from what the experiments that try it forbid.
type Guard struct {
	Name  string
	Title string
	Doc   string
	// OptIn names what somebody must ask for to have the guard planned ("defaults");
	// empty for one that is planned always.
	OptIn string
	// Covers lists the rules of the control whose violations it stops.
	Covers []*Rule
	// Tried lists the experiments of the control that try what it refuses where no
	// rule judges it: who asks, or a request that leaves no object behind.
	Tried []*Experiment
	// Scope is the kind of thing that one instance of the guard covers.
	Scope ScopeKind
	// Needs lists the kinds that Objects, Settings and Present read, and Derives the derived
	// facts: what is the same for every scope is computed once.
	Needs   []Kind
	Derives []*Derivation
	// Objects gives the changes that put the guard in place for a scope, whose contents, which several
	// scopes may share, nobody alters. It is nil where the guard is no object of the API but Settings.
	Objects func(v *View, scope Ref) []Change
	// Settings gives what components of the platform should be started with and are
	// not, as far as was seen. It is nil where the guard is Objects.
	Settings func(v *View) []Setting
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

// RegistriesParam is the name of the ConfigMap in kube-system that lists the allowed
// registries, as a parameter of an admission policy: its key "registries" holds one
// registry, or the beginning of repositories' names in one, a line.
const RegistriesParam = "bailey-registries"

// PublishedParam is the name of the ConfigMap in kube-system that lists which namespaces
// may publish Services: its key "services" holds a namespace and a type (NodePort,
// LoadBalancer) a line.
const PublishedParam = "bailey-published-services"

// StorageClassesParam is the name of the ConfigMap in kube-system that lists the
// StorageClasses that claims may use: its key "classes" holds a name a line.
const StorageClassesParam = "bailey-storage-classes"

// PolicyParams are the ConfigMaps in kube-system that hold parameters of Bailey's policies.
// Their values are no secrets.
var PolicyParams = []string{RegistriesParam, PublishedParam, StorageClassesParam}
