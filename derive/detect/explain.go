package detect

import "time"

// Stored is what is known of one object that the cluster holds: from its
// metadata.
type Stored struct {
	Group, Resource string
	Namespace, Name string
	// Created is its creationTimestamp, which has whole seconds.
	Created time.Time
}

// Explanation says where an object came from, as far as the log tells.
type Explanation string

const (
	// Explained: the log holds the request that created it.
	Explained Explanation = "explained"
	// Unexplained: the log covers that time and that kind, and holds none. It
	// was written past the API server, or the log is not complete.
	Unexplained Explanation = "unexplained"
	// Unknown: it was created before the log begins or after it ends, or the
	// log holds no creation of that kind at all, or one whose name it does not
	// tell.
	Unknown Explanation = "unknown"
)

// Log is what a run of audit events says about which objects were created: what
// no single event can show, an object that was written into etcd directly, is
// one that it does not explain.
type Log struct {
	begin, end time.Time
	created    map[object]struct{}
	// nameless are creations whose event does not tell the name, as with
	// generateName, by second.
	nameless map[object]map[int64]struct{}
	kinds    map[resource]struct{}
	full     bool
}

type object struct{ group, resource, namespace, name string }

// maxObjects bounds what a Log remembers. Beyond it everything is unknown.
const maxObjects = 1 << 20

// NewLog is an empty one.
func NewLog() *Log {
	return &Log{created: map[object]struct{}{}, nameless: map[object]map[int64]struct{}{}, kinds: map[resource]struct{}{}}
}

// Add takes one event, in any order.
func (l *Log) Add(e *Event) {
	at := e.Time()
	if l.begin.IsZero() || at.Before(l.begin) {
		l.begin = at
	}
	if at.After(l.end) {
		l.end = at
	}
	if e.Stage != StageResponseComplete || e.Object.Resource == "" || e.Object.Subresource != "" || e.Status.Code >= 300 {
		return
	}
	// An update or a patch creates too, where the object was absent.
	switch e.Verb {
	case "create", "update", "patch":
	default:
		return
	}
	if len(l.created) >= maxObjects || len(l.nameless) >= maxObjects {
		l.full = true
		return
	}
	o := object{e.Object.APIGroup, e.Object.Resource, e.Object.Namespace, e.Object.Name}
	if e.Verb == "create" {
		l.kinds[resource{o.group, o.resource}] = struct{}{}
	}
	if o.resource == "namespaces" && o.group == "" {
		o.namespace = "" // the event names the namespace twice
	}
	if o.name != "" {
		l.created[o] = struct{}{}
		return
	}
	if l.nameless[o] == nil {
		l.nameless[o] = map[int64]struct{}{}
	}
	l.nameless[o][at.Unix()] = struct{}{}
}

// Explain says whether the log tells where an object came from, and if that is
// unknown, why. It trusts the object's creationTimestamp, which whoever writes into
// etcd chooses: one that lies before the log begins is unknown, not explained.
func (l *Log) Explain(s Stored) (e Explanation, why string) {
	o := object{s.Group, s.Resource, s.Namespace, s.Name}
	if _, found := l.created[o]; found {
		return Explained, ""
	}
	switch {
	case l.full:
		return Unknown, "the log is too long to be remembered"
	case l.begin.IsZero():
		return Unknown, "the log holds no event"
	case s.Created.Before(l.begin):
		return Unknown, "the log begins later"
	case s.Created.After(l.end):
		return Unknown, "the log ends before"
	}
	if _, found := l.kinds[resource{s.Group, s.Resource}]; !found {
		return Unknown, "the log holds no creation of " + s.Resource + ": its policy may not record them"
	}
	o.name = ""
	for second := s.Created.Unix() - 1; second <= s.Created.Unix()+1; second++ {
		if _, found := l.nameless[o][second]; found {
			return Unknown, "the log does not tell the name of something that was made at that moment"
		}
	}
	return Unexplained, ""
}
