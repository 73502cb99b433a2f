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
	// pushTurn is how long a push waits for its turn, and pushRead how long its body may take: who
	// sends slowly must not keep the others waiting.
	pushTurn = 20 * time.Second
	pushRead = 2 * time.Minute
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
	// Keep is how long history is kept; zero: for ever. Of a spoke's alerts that were over before, none is
	// taken that is not known.
	Keep time.Duration

	once  sync.Once
	turns chan struct{}
	mu    sync.Mutex
	busy  map[string]bool // clusters of which a push is under way
}

// pushFailure is an answer to a push that was not taken.
type pushFailure struct {
	status int
	text   string
}

func (p *pushFailure) Error() string { return p.text }

// ServeHTTP takes a push.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.once.Do(func() { h.turns, h.busy = make(chan struct{}, pushesAtOnce), map[string]bool{} })
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

// turn waits until a push of the cluster may be read, and gives the function that ends its turn.
// A cluster has one at a time, so that no spoke takes all. What is refused was not taken.
func (h *Hub) turn(ctx context.Context, uid string) (end func(), err error) {
	h.mu.Lock()
	busy := h.busy[uid]
	h.busy[uid] = true
	h.mu.Unlock()
	if busy {
		return nil, &pushFailure{http.StatusTooManyRequests, "another push of this cluster is under way; try again in a moment"}
	}
	leave := func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.busy, uid)
	}
	wait := time.NewTimer(pushTurn)
	defer wait.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns; leave() }, nil
	case <-wait.C:
		leave()
		return nil, &pushFailure{http.StatusTooManyRequests, "other spokes push right now; try again in a moment"}
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

func (h *Hub) push(w http.ResponseWriter, r *http.Request, uid string) error {
	end, err := h.turn(r.Context(), uid)
	if err != nil {
		return err
	}
	defer end()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(pushRead))
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
	if head.Kind == pushAlerts {
		alerts, err := in.alerts()
		if err != nil {
			return badPush(err)
		}
		return h.keepAlerts(r.Context(), uid, head, alerts)
	}
	delta, err := in.delta()
	if err != nil {
		return badPush(err)
	}
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

// keep writes a push of what is found.
func (h *Hub) keep(ctx context.Context, uid string, head pushHeader, d store.Delta) error {
	now, mark, last := h.Now(), head.mark(), head.follows()
	var err error
	switch head.Kind {
	case pushWhole:
		err = h.Store.PushWhole(ctx, uid, head.Name, now, mark, d)
	case pushDelta:
		err = h.Store.PushNext(ctx, uid, now, last, mark, &d)
	case pushHeard:
		err = h.Store.PushNext(ctx, uid, now, last, mark, nil)
	}
	return h.kept(err, head.Kind != pushHeard)
}

// keepAlerts writes a push of alerts. The spoke delivers them.
func (h *Hub) keepAlerts(ctx context.Context, uid string, head pushHeader, alerts []store.Alert) error {
	now := h.Now()
	var since time.Time
	if h.Keep > 0 {
		since = now.Add(-h.Keep)
	}
	return h.kept(h.Store.PushAlerts(ctx, uid, now, head.follows(), head.mark(), store.AlertStates{Alerts: alerts, All: head.All}, since), true)
}

// kept gives the answer to a push by how writing it ended, and tells that pages show something else.
func (h *Hub) kept(err error, changed bool) error {
	switch {
	case errors.Is(err, store.ErrOvertaken):
		return &pushFailure{http.StatusConflict, store.ErrOvertaken.Error() + "\nhint: begin anew with the whole state"}
	case errors.Is(err, store.ErrConflict):
		return &pushFailure{http.StatusConflict, strings.TrimPrefix(err.Error(), "store: ")}
	case err == nil && changed:
		h.News.Tell(Item{Kind: NewsKept, Data: Published{}})
	}
	return err
}

// mark names a push, and follows the one that it follows.
func (h *pushHeader) mark() string    { return pushMark(h.Session, h.Number) }
func (h *pushHeader) follows() string { return pushMark(h.Session, h.Number-1) }

// pushMark names a push of a session.
func pushMark(session string, number int) string { return session + "/" + strconv.Itoa(number) }
