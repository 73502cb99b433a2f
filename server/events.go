package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// beat is how often a stream shows that it is alive, and its reader's rights are asked for anew.
	beat = 15 * time.Second
	// streamLife is how long one stream lasts: after it, the browser connects again.
	streamLife = 10 * time.Minute
	// streamWrite is how long a reader may take to take what it is sent.
	streamWrite = 10 * time.Second
)

// events streams what happens as Server-Sent Events: each with its kind, process and number as the id,
// and its data as JSON. Whoever comes back with Last-Event-ID goes on from there; an event
// "missed" tells that some are lost, and that what is shown must be read anew.
func (a *API) events(w http.ResponseWriter, r *http.Request) {
	ask, err := AskOf(r.Context(), a.Desk, a.Rights, "")
	switch {
	case errors.Is(err, ErrLogIn):
		http.Error(w, "log in first: a bearer token, or a session", http.StatusUnauthorized)
		return
	case errors.Is(err, ErrForbidden):
		http.Error(w, "you may see nothing here", http.StatusForbidden)
		return
	case err != nil:
		http.Error(w, "the cluster does not answer now; try again in a moment", http.StatusServiceUnavailable)
		return
	}
	if a.elsewhere(w, r) {
		return
	}
	after, elsewhere := a.News.Last(), false
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		cut := max(0, strings.LastIndexByte(id, '-'))
		process, number := id[:cut], strings.TrimPrefix(id[cut:], "-")
		last, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			http.Error(w, "Last-Event-ID is no ID of an event", http.StatusBadRequest)
			return
		}
		// Each process numbers its own: what was told while the reader came from one to the other
		// is not known here.
		if elsewhere = process != a.News.Process(); !elsewhere {
			after = last
		}
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	stream := http.NewResponseController(w)
	send := func(text string) bool {
		_ = stream.SetWriteDeadline(time.Now().Add(streamWrite))
		_, err := w.Write([]byte(text))
		return err == nil && stream.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return
	}
	end := time.NewTimer(streamLife)
	defer end.Stop()
	blind := false // what may be seen could not be told
	quiet := time.NewTicker(beat)
	defer quiet.Stop()
	for {
		items, missed, more := a.News.After(after)
		missed, elsewhere = missed || elsewhere, false
		if missed && !send("event: missed\ndata: {}\n\n") {
			return
		}
		for _, item := range items {
			after = item.Number
			own := item.Kind == NewsObject || item.Kind == NewsAlert || item.Kind == NewsRun // they name what they are about
			if item.Namespace == "" && own && !ask.Sees.All || item.Namespace != "" && !ask.Sees.Has(item.Namespace) {
				continue
			}
			data, err := json.Marshal(item.within(ask.Sees))
			if err != nil {
				a.Log.Error("an event could not be written", "kind", item.Kind, "error", err)
				continue
			}
			if !send(fmt.Sprintf("id: %s-%d\nevent: %s\ndata: %s\n\n", a.News.Process(), item.Number, item.Kind, data)) {
				return
			}
		}
		select {
		case <-more:
		case <-quiet.C:
			ctx, err := askedAnew(r.Context())
			if err == nil {
				ask, err = AskOf(ctx, a.Desk, a.Rights, "")
			}
			switch {
			case errors.Is(err, ErrLogIn), errors.Is(err, ErrForbidden), errors.Is(err, ErrUnknownToken):
				return
			case err != nil: // until that can be told, what names nothing is told
				ask, blind = Ask{}, true
			case blind: // now the rest can be asked for
				blind, elsewhere = false, true
			}
			if !send(": still here\n\n") {
				return
			}
		case <-end.C:
			return
		case <-a.Stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}
