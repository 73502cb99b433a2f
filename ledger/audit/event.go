package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// apiVersion is the only version that API servers send since 1.24.
const apiVersion = "audit.k8s.io/v1"

// Stages of an event that the accounting tells apart from the others.
const (
	stageReceived = "RequestReceived"
	stageComplete = "ResponseComplete"
)

// maxAuditID bounds the audit IDs that a record's id holds as they are. Whoever
// makes a request may choose its audit ID, of any length.
const maxAuditID = 128

// Event is one audit event: its JSON as it came and the few fields that are read.
type Event struct {
	Raw     json.RawMessage
	AuditID string
	Stage   string

	// Received and At are when the request came and when the stage was reached, by
	// the API server's clock, in microseconds since 1970; 0 when not told.
	Received, At int64

	body []byte // Raw from its first member that is not kind or apiVersion
}

// RecordID is the event's id in the ledger: audit/<audit ID>/<stage>/<digest>.
//
// The digest is there because a client may choose its request's audit ID: with the
// ID and the stage alone, whoever sends every request under one ID would have the
// first one recorded and no other. It leaves out kind and apiVersion, which a line of
// the log has and an item of a list has not, so that an event which comes both ways
// is one record.
func (e Event) RecordID() string {
	sum := sha256.Sum256(e.body)
	var b strings.Builder
	b.Grow(len("audit///") + len(e.AuditID) + len(e.Stage) + 32)
	b.WriteString("audit/")
	b.WriteString(fit(e.AuditID, maxAuditID))
	b.WriteByte('/')
	b.WriteString(fit(e.Stage, len("ResponseComplete")))
	b.WriteByte('/')
	var digest [32]byte
	hex.Encode(digest[:], sum[:16])
	b.Write(digest[:])
	return b.String()
}

// fit replaces what is empty, too long or odd.
func fit(s string, limit int) string {
	if s == "" {
		return "-"
	}
	odd := len(s) > limit
	for i := 0; i < len(s) && !odd; i++ {
		odd = s[i] <= ' ' || s[i] >= 0x7f || s[i] == '/'
	}
	if odd {
		sum := sha256.Sum256([]byte(s))
		return "sha256:" + hex.EncodeToString(sum[:16])
	}
	return s
}

var errNotList = errors.New("it is no EventList of " + apiVersion)

// ParseEventList gives the events of an EventList, in order, as slices of body. It
// accepts what encoding/json accepts, nested no deeper than maxDepth, and refuses
// members that stand twice in the list or, of those that are read, in an event.
func ParseEventList(body []byte) ([]Event, error) {
	s := scanner{b: body}
	var events []Event
	var kind, version string
	seen := 0
	err := s.object(func(key string) error {
		switch key {
		case "kind", "apiVersion", "items":
		default:
			return s.skip()
		}
		bit := 1 << len(key) // 4, 10 and 5 bytes
		if seen&bit != 0 {
			return s.fail(fmt.Sprintf("a second %q", key))
		}
		seen |= bit
		var err error
		switch key {
		case "kind":
			kind, err = s.text()
		case "apiVersion":
			version, err = s.text()
		default:
			if s.null() {
				return nil
			}
			err = s.array(func() error {
				e, err := s.event()
				events = append(events, e)
				return err
			})
		}
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	if kind != "EventList" || version != apiVersion {
		return nil, errNotList
	}
	return events, nil
}

// ParseEvent reads one event, such as a line of the audit log.
func ParseEvent(raw []byte) (Event, error) {
	raw = bytes.TrimSpace(raw)
	s := scanner{b: raw}
	e, err := s.event()
	if err == nil {
		err = s.end()
	}
	return e, err
}

// event scans an object and keeps what is read of it.
func (s *scanner) event() (Event, error) {
	s.space()
	start, seen, body := s.i, 0, -1
	var e Event
	err := s.object(func(key string) error {
		bit := 0
		switch key {
		case "kind", "apiVersion":
			return s.skip()
		case "auditID":
			bit = 1
		case "stage":
			bit = 2
		case "stageTimestamp":
			bit = 4
		case "requestReceivedTimestamp":
			bit = 8
		}
		if body < 0 {
			body = s.member
		}
		if bit == 0 {
			return s.skip()
		}
		if seen&bit != 0 {
			return s.fail(fmt.Sprintf("a second %q in an event", key))
		}
		seen |= bit
		text, err := s.text()
		switch bit {
		case 1:
			e.AuditID = text
		case 2:
			e.Stage = text
		case 4:
			e.At = micros(text)
		case 8:
			e.Received = micros(text)
		}
		return err
	})
	if err != nil {
		return Event{}, err
	}
	e.Raw = json.RawMessage(s.b[start:s.i:s.i])
	e.body = e.Raw
	if body >= 0 {
		e.body = s.b[body:s.i]
	}
	return e, nil
}

// micros is a time of RFC 3339 in microseconds since 1970, or 0.
func micros(text string) int64 {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0
	}
	return t.UnixMicro()
}
