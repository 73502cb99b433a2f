package server

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey/derive/detect"
)

// Hallmark knows in an audit log which requests Bailey made, whichever of its processes did: it gives
// them audit IDs that only a holder of its key can make, each for one time and one request.
type Hallmark struct {
	key []byte
	now func() time.Time
}

const (
	// hallmarkPrefix begins the IDs, for people who read the log.
	hallmarkPrefix = "bailey-"
	// What an ID holds, in bytes: when it was made, in milliseconds, what no other one has, and a
	// MAC. It is 51 characters long, of the 64 that an API server shows of one in its own log.
	idTime, idNonce, idMAC = 6, 9, 18
	// idHolds is how far the making of an ID and the coming in of its request are apart at most.
	// A connection may have to be made in between, for which client-go waits 30 seconds, and TLS 10
	// more; and the two clocks may differ, where the log is that of another machine.
	idHolds = time.Minute
)

// NewHallmark makes one of a key that nobody else has.
func NewHallmark(key []byte, now func() time.Time) *Hallmark { return &Hallmark{key, now} }

// Around has all requests of a client bear such IDs.
func (h *Hallmark) Around(config *rest.Config) {
	// An API server behind a proxy may be asked below a path that it does not see.
	below := ""
	if at, _, err := rest.DefaultServerUrlFor(config); err == nil {
		below = strings.TrimRight(at.EscapedPath(), "/")
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bearing{h, below, next} })
}

type bearing struct {
	*Hallmark
	below string
	next  http.RoundTripper
}

// RoundTrip is of http.RoundTripper.
func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(auditv1.HeaderAuditID, b.id(r.Method, strings.TrimPrefix(r.URL.RequestURI(), b.below), r.UserAgent()))
	return b.next.RoundTrip(r)
}

// id makes the audit ID of a request.
func (h *Hallmark) id(method, uri, agent string) string {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(h.now().UnixMilli()))
	id := make([]byte, idTime+idNonce)
	copy(id, at[len(at)-idTime:])
	_, _ = rand.Read(id[idTime:]) // it never fails
	return hallmarkPrefix + base64.RawURLEncoding.EncodeToString(h.mac(id, method, uri, agent))
}

// mac appends to the beginning of an ID its MAC for a request.
func (h *Hallmark) mac(id []byte, method, uri, agent string) []byte {
	sum := hmac.New(sha256.New, h.key)
	for _, part := range []string{string(id), method, uri, agent} {
		_, _ = sum.Write(binary.AppendUvarint(nil, uint64(len(part))))
		_, _ = sum.Write([]byte(part))
	}
	return append(slices.Clip(id), sum.Sum(nil)[:idMAC]...)
}

// sealed reports whether the audit ID of an event was made for its request, and how long before that
// came: method, path, parameters and User-Agent are the same. The body, which not every event has, and
// as whom a client is taken, which it does not know itself, are no part of that.
func (h *Hallmark) sealed(e *detect.Event) (after time.Duration, sealed bool) {
	text, prefixed := strings.CutPrefix(e.AuditID, hallmarkPrefix)
	if !prefixed || len(text) != base64.RawURLEncoding.EncodedLen(idTime+idNonce+idMAC) {
		return 0, false
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return 0, false
	}
	at := time.UnixMilli(int64(binary.BigEndian.Uint64(append(make([]byte, 8-idTime, 8), id[:idTime]...))))
	method := cmp.Or(methods[e.Verb], strings.ToUpper(e.Verb))
	return e.Received.Sub(at), hmac.Equal(id, h.mac(id[:idTime+idNonce], method, e.RequestURI, e.UserAgent))
}

// methods are those of the verbs of resources; other paths have the method as their verb.
var methods = map[string]string{
	"list": http.MethodGet, "watch": http.MethodGet, "create": http.MethodPost, "update": http.MethodPut, "deletecollection": http.MethodDelete,
}
