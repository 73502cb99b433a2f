package detect

import (
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The bounds of what a Set remembers. They hold a few MiB at most.
const (
	maxOrigins    = 16384
	maxNamespaces = 10000
	maxTold       = 8192

	// repeatAfter is how long the same request raises alerts anew. What GitOps
	// applies again and again, unchanged, is told once and then from time to
	// time; a repeated experiment stays below it.
	repeatAfter = 5 * time.Minute
	repeatUntil = 24 * time.Hour
)

// memory is what a Set remembers from event to event.
type memory struct {
	seed maphash.Seed

	mu sync.Mutex
	// origins are the windows of bursts, by detection and key.
	origins map[origin]*window
	// levels are the Pod Security levels that namespaces were seen to enforce.
	levels map[string]level
	// raised counts how often some level was raised.
	raised uint64
	// carriers are the nodes that lately came from an address.
	carriers map[string]*[manyNodes]carrier
	// requests are pairs of a detection and a request that were told, bodies when an
	// identical request was first told.
	requests map[uint64]time.Time
	bodies   map[uint64]time.Time
}

// level is what a namespace enforces, and when it was last raised: a count.
type level struct {
	name   string
	raised uint64
}

// levelRank orders the Pod Security levels. What is no level ranks with none.
func levelRank(name string) int { return slices.Index([]string{"baseline", "restricted"}, name) + 1 }

// manyNodes is how many nodes make an address one that hides who is behind it.
const manyNodes = 3

// carriedWithin is how long a node counts for the address that it came from.
const carriedWithin = 10 * time.Minute

type carrier struct {
	node uint64
	at   time.Time
}

type origin struct {
	detection *Detection
	key       string
}

// window are the latest different events of one origin.
type window struct {
	marks []mark
	// muted is until when a full window raises no further alert.
	muted time.Time
}

type mark struct {
	at       time.Time
	distinct uint64
	auditID  string
}

func newMemory() *memory {
	return &memory{
		seed:    maphash.MakeSeed(),
		origins: map[origin]*window{}, levels: map[string]level{}, carriers: map[string]*[manyNodes]carrier{},
		requests: map[uint64]time.Time{}, bodies: map[uint64]time.Time{},
	}
}

func (m *memory) hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, p := range parts {
		h.WriteString(p) //nolint:errcheck // it never fails
		h.WriteByte(0)   //nolint:errcheck // it never fails
	}
	return h.Sum64()
}

// count adds an event to its origin's window, and gives the audit IDs of the
// events in it when they have become enough.
func (m *memory) count(d *Detection, key, distinct string, e *Event) []string {
	at, what := e.Time(), m.hash(distinct)
	m.mu.Lock()
	defer m.mu.Unlock()
	o := origin{d, key}
	w := m.origins[o]
	if w == nil {
		if len(m.origins) >= maxOrigins {
			m.forgetOrigins(at)
		}
		w = &window{}
		m.origins[o] = w
	}
	// The newest event says what is too old, so that the order within the
	// window is free.
	newest := at
	for _, k := range w.marks {
		if k.at.After(newest) {
			newest = k.at
		}
	}
	w.marks = slices.DeleteFunc(w.marks, func(k mark) bool {
		return k.distinct == what || newest.Sub(k.at) > d.Burst.Within
	})
	if newest.Sub(at) > d.Burst.Within {
		return nil
	}
	w.marks = append(w.marks, mark{at, what, e.AuditID})
	if len(w.marks) < d.Burst.Count {
		return nil
	}
	audits := make([]string, 0, len(w.marks))
	for _, k := range w.marks {
		audits = append(audits, k.auditID)
	}
	w.marks = nil
	if at.Before(w.muted) {
		return nil
	}
	w.muted = at.Add(d.Burst.Within)
	return audits
}

// forgetOrigins makes room: what is out of its window goes, and if that is not
// enough, any half of the rest.
func (m *memory) forgetOrigins(now time.Time) {
	for o, w := range m.origins {
		if len(w.marks) == 0 && now.After(w.muted) || len(w.marks) > 0 && now.Sub(w.marks[len(w.marks)-1].at) > o.detection.Burst.Within {
			delete(m.origins, o)
		}
	}
	forgetHalf(m.origins, maxOrigins/2)
}

func forgetHalf[K comparable, V any](all map[K]V, keep int) {
	for key := range all {
		if len(all) <= keep {
			return
		}
		delete(all, key)
	}
}

// told tells whether this alert was given before: at an earlier stage of the
// same request, or some time ago for a request that is the same in every byte.
// It notes that it is given now.
func (m *memory) told(d *Detection, e *Event) bool {
	now := e.Time()
	// A client may choose its audit ID: it alone does not tell requests apart.
	request := m.hash(d.Name, e.AuditID, e.Received.String(), e.User.Username, e.RequestURI)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.requests[request]; found {
		return true
	}
	if len(m.requests) >= maxTold {
		forgetHalf(m.requests, maxTold/2)
	}
	m.requests[request] = now
	if e.Verb != "update" && e.Verb != "patch" || len(e.RequestObject) == 0 {
		return false
	}
	// Another answer is told, and so is what undoes a level that was raised again meanwhile.
	state := strconv.Itoa(e.Status.Code)
	if e.Object.Resource == "namespaces" {
		state += "/" + strconv.FormatUint(m.levels[e.Object.Name].raised, 10)
	}
	body := m.hash(d.Name, e.User.Username, e.UserAgent, e.RequestURI, state, string(e.RequestObject))
	first, found := m.bodies[body]
	if age := now.Sub(first); found && age < repeatUntil {
		return age >= repeatAfter
	}
	if len(m.bodies) >= maxTold {
		forgetHalf(m.bodies, maxTold/2)
	}
	m.bodies[body] = now
	return false
}

// LabelEnforce is the label by which a namespace chooses its Pod Security level.
const LabelEnforce = "pod-security.kubernetes.io/enforce"

func (m *memory) enforced(namespace string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.levels[namespace].name
}

// noteNamespace remembers what level a namespace enforces after the request.
func (m *memory) noteNamespace(in *input) {
	e := in.event
	if e.Status.Code >= 300 || e.Status.Code == 0 || e.Stage != StageResponseComplete || len(in.parameters()["dryRun"]) > 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Verb {
	case "delete":
		m.setLevel(e.Object.Name, "")
	case "create", "update", "patch":
		sent := in.sent()
		name, found := sent.Labels[LabelEnforce]
		switch {
		case found:
			m.setLevel(e.Object.Name, name)
		case slices.Contains(sent.RemovedLabels, LabelEnforce), e.Verb == "update" && sent.Known:
			m.setLevel(e.Object.Name, "")
		}
	}
}

// setLevel remembers a level. m.mu is held.
func (m *memory) setLevel(namespace, name string) {
	was, found := m.levels[namespace]
	if !found && name == "" {
		return
	}
	if !found && len(m.levels) >= maxNamespaces {
		forgetHalf(m.levels, maxNamespaces/2)
	}
	now := level{name, was.raised}
	if levelRank(name) > levelRank(was.name) {
		m.raised++
		now.raised = m.raised
	}
	m.levels[namespace] = now
}

// noteNode remembers that a node came from an address.
func (m *memory) noteNode(e *Event) {
	address, node, at := e.Address(), m.hash(e.User.Username), e.Time()
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.carriers[address]
	if all == nil {
		if len(m.carriers) >= maxOrigins {
			forgetHalf(m.carriers, maxOrigins/2)
		}
		all = &[manyNodes]carrier{}
		m.carriers[address] = all
	}
	oldest := 0
	for i, c := range all {
		if c.node == node {
			oldest = i
			break
		}
		if c.at.Before(all[oldest].at) {
			oldest = i
		}
	}
	all[oldest] = carrier{node, at}
}

// shared reports whether many nodes came from an address at about this time.
func (m *memory) shared(address string, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.carriers[address]
	if all == nil {
		return false
	}
	for _, c := range all {
		if at.Sub(c.at).Abs() > carriedWithin {
			return false
		}
	}
	return true
}
