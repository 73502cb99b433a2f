package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// TestManyWaivers: each waiver counts until it ends, however many expired ones nobody has ended came after
// it; and one too many is refused, and says so, rather than that another stops counting.
func TestManyWaivers(t *testing.T) {
	kept := openStore(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	if err := kept.PutCluster(t.Context(), "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	desk := waiverDesk(kept, func() time.Time { return now })
	everything := Ask{Sees: Namespaces{All: true}}
	waiver := func(name string, lasts time.Duration) bailey.Waiver {
		return bailey.Waiver{Rule: "a/b/c", Name: name, Reason: "r", Owner: "o", Expires: begin.Add(lasts)}
	}
	put := func(w bailey.Waiver) {
		t.Helper()
		if err := kept.AddWaiver(t.Context(), "c", begin, w.Name, "me", w); err != nil {
			t.Fatal(err)
		}
	}
	counts := func() map[string]bool {
		t.Helper()
		all, err := desk.InForce(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, w := range all {
			names[w.Name] = true
		}
		return names
	}
	put(waiver("first", 48*time.Hour))
	for i := range waiversMost - 1 {
		put(waiver(fmt.Sprint("w", i), time.Hour))
	}
	if _, err := desk.AddWaiver(t.Context(), everything, "me", waiver("more", 48*time.Hour)); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "hint: end those") {
		t.Errorf("one too many: %v", err)
	}
	put(waiver("gone", -time.Hour))
	if err := desk.ExtendWaiver(t.Context(), everything, "me", "gone", "r", begin.Add(time.Hour)); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "hint: end those") {
		t.Errorf("one that has expired is extended where as many count as may: %v", err)
	}
	if err := desk.ExtendWaiver(t.Context(), everything, "me", "first", "r", begin.Add(49*time.Hour)); err != nil {
		t.Errorf("one that counts is extended: %v", err)
	}
	if w, err := desk.Waiver(t.Context(), everything, "first"); err != nil || w.State != "expiring" || len(w.Extended) != 1 || !w.Expires.Equal(begin.Add(49*time.Hour)) {
		t.Errorf("it is then %+v, %v", w, err)
	}
	if _, total, _, err := desk.Waivers(t.Context(), everything, WaiverFilter{}); err != nil || total != waiversMost+1 {
		t.Errorf("%d of %d waivers are listed: %v", total, waiversMost+1, err)
	}
	put(waiver("over", 48*time.Hour)) // as an import may
	if all := counts(); len(all) != waiversMost+2 || !all["first"] {
		t.Errorf("%d count, and the first of them: %v", len(all), all["first"])
	}
	now = begin.Add(2 * time.Hour)
	if _, err := desk.AddWaiver(t.Context(), everything, "me", waiver("more", 48*time.Hour)); err != nil {
		t.Errorf("expired ones take room: %v", err)
	}
	if all := counts(); !all["first"] || !all["over"] || !all["more"] {
		t.Errorf("of %d, those that last are missing", len(all))
	}
}

// waiverDesk is a desk over a store that watches the cluster c.
func waiverDesk(kept *store.Store, now func() time.Time) *Desk {
	return NewDesk(DeskOptions{Store: kept, Own: func() string { return "c" }, Configured: func() []bailey.Waiver { return nil }, Valid: func(bailey.Waiver) error { return nil },
		Changed: func(context.Context) {}, Log: slog.New(slog.DiscardHandler), Now: now})
}

// TestExtendAgain: who repeats an extension, because its answer was lost, is not refused; who sees some
// namespaces neither extends nor ends what they may not see; and what is refused is said in words for people.
func TestExtendAgain(t *testing.T) {
	kept := openStore(t)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := kept.PutCluster(t.Context(), "c", "c", begin); err != nil {
		t.Fatal(err)
	}
	if err := kept.AddWaiver(t.Context(), "c", begin, "w", "me", bailey.Waiver{Rule: "a/b/c", Name: "n", Reason: "r", Owner: "o", Expires: begin.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	desk := waiverDesk(kept, func() time.Time { return begin })
	everything, some := Ask{Sees: Namespaces{All: true}}, Ask{Sees: Namespaces{Names: []string{"shop"}}}
	for range 2 {
		if err := desk.ExtendWaiver(t.Context(), everything, "me", "w", "longer", begin.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if w, err := desk.Waiver(t.Context(), everything, "w"); err != nil || len(w.Extended) != 1 {
		t.Errorf("extended twice to the same end: %+v, %v", w, err)
	}
	if err := desk.ExtendWaiver(t.Context(), some, "me", "w", "longer", begin.Add(3*time.Hour)); !errors.Is(err, ErrNotFound) {
		t.Errorf("extended by who does not see it: %v", err)
	}
	if err := desk.EndWaiver(t.Context(), some, "me", "w"); !errors.Is(err, ErrNotFound) {
		t.Errorf("ended by who does not see it: %v", err)
	}
	refused := func(what string, expires time.Time) {
		t.Helper()
		err := desk.ExtendWaiver(t.Context(), everything, "me", "w", "longer", expires)
		if !errors.Is(err, ErrBadInput) || strings.Contains(err.Error(), "store:") || strings.Contains(err.Error(), "conflict") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("to an earlier end", begin.Add(time.Hour))
	if err := desk.EndWaiver(t.Context(), everything, "me", "w"); err != nil {
		t.Fatal(err)
	}
	refused("after it was ended", begin.Add(4*time.Hour))
}
