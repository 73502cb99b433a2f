package detect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Limits bound what Decode takes from a stranger.
type Limits struct {
	// Bytes is the longest event. The API server takes requests of up to 3 MiB,
	// and an event may hold the request and the answer.
	Bytes int
	// Depth is how deep lists and maps may be nested. What was sent or answered that is deeper is
	// left out.
	Depth int
}

// DefaultLimits fit what an API server writes.
var DefaultLimits = Limits{Bytes: 8 << 20, Depth: 100}

// The stages of a request that events tell of.
const (
	StageRequestReceived  = "RequestReceived"
	StageResponseStarted  = "ResponseStarted"
	StageResponseComplete = "ResponseComplete"
	StagePanic            = "Panic"
)

// Event is the part of an audit.k8s.io/v1 Event that detections read.
type Event struct {
	Level   Level  `json:"level"`
	AuditID string `json:"auditID"`
	Stage   string `json:"stage"`

	RequestURI   string            `json:"requestURI"`
	Verb         string            `json:"verb"`
	User         User              `json:"user"`
	Impersonated *User             `json:"impersonatedUser"`
	SourceIPs    []string          `json:"sourceIPs"`
	UserAgent    string            `json:"userAgent"`
	Object       ObjectRef         `json:"objectRef"`
	Status       Status            `json:"responseStatus"`
	Annotations  map[string]string `json:"annotations"`

	// RequestObject is what was sent: an object, or a patch. Empty at level
	// Metadata, and where the request was refused before it was read.
	RequestObject json.RawMessage `json:"requestObject"`
	// Cut tells that something was sent which is not read, since it is too large or too deep.
	Cut bool `json:"-"`
	// ResponseObject is what was answered, of an event that was read by DecodeWhole.
	ResponseObject json.RawMessage `json:"responseObject"`

	Received time.Time `json:"requestReceivedTimestamp"`
	At       time.Time `json:"stageTimestamp"`

	whole bool // keep the answer
}

// User is who asked.
type User struct {
	Username string              `json:"username"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

// ObjectRef is what was asked about; empty for a path that is no resource.
type ObjectRef struct {
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	UID         string `json:"uid"`
	APIGroup    string `json:"apiGroup"`
}

// Path is "pods", or "pods/exec" with a subresource.
func (o *ObjectRef) Path() string {
	if o.Subresource == "" {
		return o.Resource
	}
	return o.Resource + "/" + o.Subresource
}

// Status is how the request was answered; its Code is 0 before the answer.
type Status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Decode reads one event from JSON. It refuses what is not an audit event, and
// what is beyond the limits. The event keeps no part of data but a copy.
func Decode(data []byte, limits Limits) (*Event, error) { return decode(data, limits, false) }

// DecodeRest is Decode of what is left of an event that was too large, with cut without what was sent.
func DecodeRest(data []byte, cut bool, limits Limits) (*Event, error) {
	e, err := Decode(data, limits)
	if err == nil && cut {
		e.RequestObject, e.Cut = nil, true
	}
	return e, err
}

// DecodeWhole is Decode, and keeps the answer, which no detection reads.
func DecodeWhole(data []byte, limits Limits) (*Event, error) { return decode(data, limits, true) }

func decode(data []byte, limits Limits, whole bool) (*Event, error) {
	if len(data) > limits.Bytes {
		return nil, fmt.Errorf("the event has %d bytes; at most %d are read", len(data), limits.Bytes)
	}
	e := &Event{whole: whole}
	var kind, version string
	s := &scanner{data: data, limit: limits.Depth}
	if s.next() != '{' {
		return nil, fmt.Errorf("not an audit event: %w", s.unexpected("a JSON object"))
	}
	err := s.object(func(key []byte) error {
		switch string(key) {
		case "kind":
			return s.string(&kind)
		case "apiVersion":
			return s.string(&version)
		}
		return e.read(s, key)
	})
	if err == nil && s.next() != 0 {
		err = s.unexpected("the end of the event")
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("not an audit event: %w", err)
	case kind != "Event" || version != "audit.k8s.io/v1":
		return nil, fmt.Errorf("not an audit event: kind %.40q of %.40q, want Event of audit.k8s.io/v1", kind, version)
	case e.AuditID == "" || e.Stage == "":
		return nil, errors.New("not an audit event: auditID or stage is missing")
	case e.Received.IsZero() && e.At.IsZero():
		return nil, errors.New("not an audit event: it has no time")
	}
	return e, nil
}

// read takes the value of one field of an event.
func (e *Event) read(s *scanner, key []byte) error {
	switch string(key) {
	case "level":
		return s.string((*string)(&e.Level))
	case "auditID":
		return s.string(&e.AuditID)
	case "stage":
		return s.string(&e.Stage)
	case "requestURI":
		return s.string(&e.RequestURI)
	case "verb":
		return s.string(&e.Verb)
	case "user":
		return e.User.read(s)
	case "impersonatedUser":
		if s.null() {
			return nil
		}
		e.Impersonated = &User{}
		return e.Impersonated.read(s)
	case "sourceIPs":
		return s.strings(&e.SourceIPs)
	case "userAgent":
		return s.string(&e.UserAgent)
	case "objectRef":
		return e.Object.read(s)
	case "responseStatus":
		return e.Status.read(s)
	case "annotations":
		return s.object(func(key []byte) error {
			if e.Annotations == nil {
				e.Annotations = map[string]string{}
			}
			name, value := string(key), ""
			err := s.string(&value)
			e.Annotations[name] = value
			return err
		})
	case "requestObject":
		raw, deep, err := s.skipDeep()
		e.RequestObject, e.Cut = bytes.Clone(raw), deep
		return err
	case "responseObject":
		raw, _, err := s.skipDeep()
		if e.whole {
			e.ResponseObject = bytes.Clone(raw)
		}
		return err
	case "requestReceivedTimestamp":
		return readTime(s, &e.Received)
	case "stageTimestamp":
		return readTime(s, &e.At)
	}
	_, err := s.skip()
	return err
}

func (u *User) read(s *scanner) error {
	return s.object(func(key []byte) error {
		switch string(key) {
		case "username":
			return s.string(&u.Username)
		case "groups":
			return s.strings(&u.Groups)
		case "extra":
			return s.object(func(key []byte) error {
				if u.Extra == nil {
					u.Extra = map[string][]string{}
				}
				name := string(key)
				var values []string
				err := s.strings(&values)
				u.Extra[name] = values
				return err
			})
		}
		_, err := s.skip()
		return err
	})
}

func (o *ObjectRef) read(s *scanner) error {
	return s.object(func(key []byte) error {
		switch string(key) {
		case "resource":
			return s.string(&o.Resource)
		case "subresource":
			return s.string(&o.Subresource)
		case "namespace":
			return s.string(&o.Namespace)
		case "name":
			return s.string(&o.Name)
		case "uid":
			return s.string(&o.UID)
		case "apiGroup":
			return s.string(&o.APIGroup)
		}
		_, err := s.skip()
		return err
	})
}

func (t *Status) read(s *scanner) error {
	return s.object(func(key []byte) error {
		switch string(key) {
		case "code":
			return s.integer(&t.Code)
		case "reason":
			return s.string(&t.Reason)
		case "message":
			return s.string(&t.Message)
		}
		_, err := s.skip()
		return err
	})
}

func readTime(s *scanner, field *time.Time) error {
	var text string
	if err := s.string(&text); err != nil || text == "" {
		return err
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("%.40q is no time", text)
	}
	*field = at
	return nil
}

// Time is when the request came in.
func (e *Event) Time() time.Time {
	if e.Received.IsZero() {
		return e.At
	}
	return e.Received
}

// DryRun reports whether the request asked for nothing to be stored.
func (e *Event) DryRun() bool {
	asked, err := url.Parse(e.RequestURI)
	return err == nil && len(asked.Query()["dryRun"]) > 0
}

// Address is where the request came from, as far as nobody can invent it: the
// addresses before the last one are what the client claims in its headers.
func (e *Event) Address() string {
	if len(e.SourceIPs) == 0 {
		return ""
	}
	return e.SourceIPs[len(e.SourceIPs)-1]
}

// level is how much of the request is read.
func (e *Event) level() Level {
	if e.Cut {
		return LevelMetadata
	}
	return e.Level
}

// answered tells whether the event is the one on which the request is judged.
// A request that goes on for long (exec, watch) is judged when its answer
// starts; its end tells nothing new, but Set drops that by the audit ID, since
// a policy may record only the end.
func (e *Event) answered() bool {
	return e.Stage == StageResponseComplete || e.Stage == StageResponseStarted || e.Stage == StagePanic
}
