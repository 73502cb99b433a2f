package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/baileyhq/bailey/store"
	"github.com/google/go-cmp/cmp"
)

// testSessions: what one process keeps of a session others have, one at a time changes it, and what has ended is
// nobody's; of too many the first to end go.
func testSessions(t *testing.T, p Place) {
	b := open(t, p)
	second, err := p.Open(t.Context())
	b.ok(err)
	t.Cleanup(func() { second.Close() })
	is := func(s *store.Store, want store.Session) {
		t.Helper()
		got, err := s.Session(b.ctx, want.ID)
		b.ok(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	gone := func(s *store.Store, ids ...string) {
		t.Helper()
		for _, id := range ids {
			if one, err := s.Session(b.ctx, id); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%+v, %v", one, err)
			}
		}
	}
	one := store.Session{ID: store.HashToken("one"), Until: at(10), Sealed: []byte("\x00 sealed \xff")}
	gone(b.s, one.ID)
	b.ok(b.s.AddSession(b.ctx, one, 3))
	if err := second.AddSession(b.ctx, one, 3); err == nil {
		t.Error("one ID was kept twice")
	}
	is(second, one)
	one.Claimed, one.Until, one.Sealed = at(1), at(9), nil
	b.ok(second.SwapSession(b.ctx, one))
	if err := b.s.SwapSession(b.ctx, one); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change of what another has changed: %v", err)
	}
	one.Version, one.Sealed = 1, []byte{}
	is(b.s, one)

	// Of many who would change the same, one does.
	var did atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			switch err := []*store.Store{b.s, second}[i%2].SwapSession(b.ctx, one); {
			case err == nil:
				did.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if did.Load() != 1 {
		t.Errorf("%d have changed it", did.Load())
	}

	b.ok(second.EndSession(b.ctx, one.ID))
	b.ok(b.s.EndSession(b.ctx, one.ID))
	gone(b.s, one.ID)
	one.Version++
	if err := b.s.SwapSession(b.ctx, one); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change of what has ended: %v", err)
	}
	gone(second, one.ID)

	id := func(i int) string { return store.HashToken(fmt.Sprint(i)) }
	for i, until := range []int{5, 3, 4, 2, 6} { // 3 goes for the one that ends at 2, which goes for the last
		b.ok(b.s.AddSession(b.ctx, store.Session{ID: id(i), Until: at(until)}, 3))
	}
	gone(second, id(1), id(3))
	b.ok(second.PruneSessions(b.ctx, at(5)))
	gone(b.s, id(0), id(2))
	is(b.s, store.Session{ID: id(4), Until: at(6), Sealed: []byte{}})
}

// testSessionsCopied: sessions outlive the process, and no copy of the history brings back what was ended since.
func testSessionsCopied(t *testing.T, p Place) {
	b := open(t, p)
	one := store.Session{ID: store.HashToken("one"), Until: time.Now().Add(time.Hour), Sealed: []byte("sealed")}
	b.ok(b.s.AddSession(b.ctx, one, 3))
	path := filepath.Join(t.TempDir(), "backup")
	b.ok(b.s.Backup(b.ctx, path))
	var export bytes.Buffer
	b.ok(b.s.Export(b.ctx, &export))
	if strings.Contains(export.String(), one.ID) {
		t.Error("an export holds a session")
	}
	restored, err := p.Restore(path)
	b.ok(err)
	t.Cleanup(func() { restored.Close() })
	if one, err := restored.Session(b.ctx, one.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a backup brings back %+v, %v", one, err)
	}
	b.ok(b.s.Close())
	again, err := p.Open(b.ctx)
	b.ok(err)
	t.Cleanup(func() { again.Close() })
	if _, err := again.Session(b.ctx, one.ID); err != nil {
		t.Error(err)
	}
}
