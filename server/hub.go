package server

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/baileyhq/bailey/store"
)

const (
	// pushCompressed bounds a push as it is sent.
	pushCompressed = 64 << 20
	// pushesAtOnce bounds the pushes that are read at once: each is held whole.
	pushesAtOnce = 2
)

// Hub takes what spokes push. The token of a spoke writes its one cluster, and nothing else.
type Hub struct {
	Store *store.Store
	Front *Front
	// Own is the UID of the cluster that this server watches itself, which nobody pushes.
	Own  func() string
	News *News
	Log  *slog.Logger
	Now  func() time.Time

	once  sync.Once
	turns chan struct{}
	mu    sync.Mutex
	one   map[string]*sync.Mutex // pushes of a cluster, one after the other
}

// pushFailure is an answer to a push that was not taken.
type pushFailure struct {
	status int
	text   string
}

func (p *pushFailure) Error() string { return p.text }

// ServeHTTP takes a push.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() { h.turns, h.one = make(chan struct{}, pushesAtOnce), map[string]*sync.Mutex{} })
	h.Front.headers(w.Header())
	if !h.Front.limits.allow(address(r), h.Now()) {
		tooMany(w)
		return
	}
	uid, err := h.cluster(r)
	if err == nil {
		err = h.push(w, r, uid)
	}
	var failure *pushFailure
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, ErrUnknownToken):
		if !h.Front.limits.fail(address(r), h.Now()) {
			tooMany(w)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="bailey-push"`)
		http.Error(w, "the token is not accepted\nhint: at the hub: bailey hub token UID", http.StatusUnauthorized)
	case errors.As(err, &failure):
		h.Log.Warn("a push was not taken", "cluster", uid, "error", failure.text)
		http.Error(w, failure.text, failure.status)
	case r.Context().Err() != nil:
		h.Log.Warn("a push was broken off", "cluster", uid)
	default:
		h.Log.Error("a push could not be kept", "cluster", uid, "error", err)
		http.Error(w, "the hub's store does not answer now; try again in a moment", http.StatusServiceUnavailable)
	}
}

// cluster gives the cluster that the token of a request may write.
func (h *Hub) cluster(r *http.Request) (string, error) {
	token, found := bearer(r)
	if !found || token == "" || len(token) > maxToken {
		return "", ErrUnknownToken
	}
	uid, err := h.Store.ClusterOfToken(r.Context(), store.HashToken(token))
	if errors.Is(err, store.ErrNotFound) {
		return "", ErrUnknownToken
	}
	return uid, err
}

// alone waits until no other push of the cluster is under way.
func (h *Hub) alone(uid string) (release func()) {
	h.mu.Lock()
	one := h.one[uid]
	if one == nil {
		one = &sync.Mutex{}
		h.one[uid] = one
	}
	h.mu.Unlock()
	one.Lock()
	return one.Unlock
}

func (h *Hub) push(w http.ResponseWriter, r *http.Request, uid string) error {
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	default:
		return &pushFailure{http.StatusServiceUnavailable, "other spokes push right now; try again in a moment"}
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(pushLimit))
	_ = control.SetWriteDeadline(time.Now().Add(pushLimit))
	var body io.Reader = http.MaxBytesReader(w, r.Body, pushCompressed)
	switch r.Header.Get("Content-Encoding") {
	case "":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return badPush(err)
		}
		z.Multistream(false)
		body = z
	default:
		return &pushFailure{http.StatusUnsupportedMediaType, "a push is sent as it is, or compressed by gzip"}
	}
	in := newPushReader(body)
	head, err := in.header()
	if err != nil {
		return badPush(err)
	}
	switch {
	case head.Cluster != uid:
		return &pushFailure{http.StatusForbidden, "this token is of another cluster\nhint: at the hub: bailey hub token " + head.Cluster}
	case uid == h.Own():
		return &pushFailure{http.StatusForbidden, "this hub watches that cluster itself"}
	}
	delta, err := in.delta()
	if err != nil {
		return badPush(err)
	}
	defer h.alone(uid)()
	return h.keep(r.Context(), uid, head, delta)
}

// badPush is the answer to a push that cannot be read.
func badPush(err error) error {
	var large *http.MaxBytesError
	if errors.Is(err, errPushLarge) || errors.As(err, &large) {
		return &pushFailure{http.StatusRequestEntityTooLarge, errPushLarge.Error() + fmt.Sprintf(", compressed %d MiB", pushCompressed>>20)}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &pushFailure{http.StatusBadRequest, "the push was cut off"}
	}
	return &pushFailure{http.StatusBadRequest, "the push cannot be read: " + err.Error()}
}

// keep writes a push. Which push came last is kept after it: where this process ends between the
// two, the spoke's next does not follow, and it begins anew with the whole.
func (h *Hub) keep(ctx context.Context, uid string, head pushHeader, d store.Delta) error {
	now := h.Now()
	if head.Kind != pushWhole {
		last, err := h.Store.Pushed(ctx, uid)
		if err != nil {
			return err
		}
		if last != pushMark(head.Session, head.Number-1) {
			return &pushFailure{http.StatusConflict, "this push does not follow the last that was kept\nhint: begin anew with the whole state"}
		}
	} else if err := errors.Join(h.Store.SetPushed(ctx, uid, ""), h.Store.PutCluster(ctx, uid, head.Name, now)); err != nil {
		return err
	}
	var err error
	switch head.Kind {
	case pushWhole:
		err = h.Store.Replace(ctx, uid, now, d)
	case pushDelta:
		err = h.Store.Apply(ctx, uid, now, d)
	case pushHeard:
		err = h.Store.Heard(ctx, uid, now)
	}
	if errors.Is(err, store.ErrConflict) {
		return &pushFailure{http.StatusConflict, strings.TrimPrefix(err.Error(), "store: ")}
	}
	if err == nil {
		err = h.Store.SetPushed(ctx, uid, pushMark(head.Session, head.Number))
	}
	if err == nil && head.Kind != pushHeard {
		h.News.Tell(Item{Kind: NewsKept, Data: Published{}})
	}
	return err
}

// pushMark names a push of a session.
func pushMark(session string, number int) string { return session + "/" + strconv.Itoa(number) }
