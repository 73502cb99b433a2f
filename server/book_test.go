package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/baileyhq/bailey/ledger"
)

// newLedger makes a ledger and gives its folder and what opens its records.
func newLedger(t *testing.T) (string, []age.Identity) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	if _, err := ledger.Init(t.Context(), dir, ledger.InitOptions{Recipients: []string{id.Recipient().String()}}); err != nil {
		t.Fatal(err)
	}
	return dir, []age.Identity{id}
}

func openBook(t *testing.T, dir string, identities []age.Identity) *Book {
	t.Helper()
	b, err := OpenBook(BookOptions{Dir: dir, Identities: identities, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func closeBook(t *testing.T, b *Book) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func envelopeOf(control, experiment, verdict string) []byte {
	statement, _ := json.Marshal(map[string]any{"predicate": map[string]any{"verdict": verdict, "evidence": map[string]any{"control": control, "experiment": experiment}}})
	envelope, _ := json.Marshal(map[string]any{"payload": base64.StdEncoding.EncodeToString(statement), "payloadType": "x"})
	return envelope
}

func awaitSigned(t *testing.T, b *Book, size uint64) {
	t.Helper()
	for end := time.Now().Add(patience); b.State().Size < size; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v, not %d entries", b.State(), size)
		}
	}
}

// TestBook: evidence is recorded once, from when the ledger began and was verified; a second
// process is refused; what is recorded is found again, and told from what was not.
func TestBook(t *testing.T) {
	dir, identities := newLedger(t)
	b := openBook(t, dir, identities)
	second, err := OpenBook(BookOptions{Dir: dir, Identities: identities, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer closeBook(t, second)
	if err := second.Begin(t.Context()); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("a second writer: %v", err)
	}
	now := time.Now()
	piece := func(id string, at time.Time) Piece {
		return Piece{ID: id, At: at, Read: func() ([]byte, error) { return envelopeOf("compute/pod-security", "try-"+id, "held"), nil }}
	}
	gone := Piece{ID: "gone", At: now, Read: func() ([]byte, error) { return nil, fs.ErrNotExist }}
	pieces := []Piece{piece("before", now.Add(-time.Hour)), piece("a", now), gone, piece("b", now)}
	b.Record(t.Context(), "early", envelopeOf("x/y", "z", "held"))
	if s := b.State(); b.Take(t.Context(), pieces) || s.Appending || s.Size != 1 {
		t.Errorf("it was recorded before the ledger was verified: %+v", s)
	}
	b.Verify(t.Context())
	if s := b.State(); !s.Appending || s.Verified == nil || s.Problem != "" {
		t.Errorf("a good ledger: %+v", s)
	}
	if !b.Take(t.Context(), pieces) || b.Take(t.Context(), pieces) {
		t.Error("pieces are taken not at all, or twice")
	}
	b.Record(t.Context(), "c", envelopeOf("access/tls", "try-c", "broken"))
	index := func(b *Book) (all []int) {
		for _, id := range []string{"before", "a", "gone", "b", "c"} {
			i, found := b.Index(id)
			if !found {
				i = 0
			}
			all = append(all, int(i))
		}
		return all
	}
	first := index(b)
	if !slices.Equal(first, []int{0, 1, 0, 2, 3}) {
		t.Errorf("indexes %v", first)
	}
	awaitSigned(t, b, 4)
	page := func(f LedgerFilter) (indexes []uint64, p LedgerPage) {
		t.Helper()
		p, err := b.Page(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			indexes = append(indexes, e.Index)
		}
		return indexes, p
	}
	if _, p := page(LedgerFilter{}); len(p.Entries) != 4 || p.Size != 4 || p.Next != "" || !strings.HasPrefix(p.Key, p.Origin+"+") ||
		p.Entries[0].Control != "access/tls" || p.Entries[0].Verdict != "broken" || p.Entries[0].ID != "evidence/c" || p.Entries[0].Sealed || p.Entries[3].Kind != "key" {
		t.Errorf("all: %+v", p)
	}
	for want, f := range map[string]LedgerFilter{"[0]": {Kind: "key"}, "[]": {Kind: "shred"}, "[3]": {Text: "TLS"}, "[2 1]": {Control: "compute/pod-security"},
		"[3 2 1]": {Kind: "record", Since: now.Add(-time.Minute)}, "[1]": {Text: "try-a", Until: now.Add(time.Hour)}, "[1 2]": {Control: "compute/pod-security", Order: "oldest"}} {
		if got, _ := page(f); fmt.Sprint(got) != want {
			t.Errorf("%+v: %v, not %s", f, got, want)
		}
	}
	for order, want := range map[string][]uint64{"": {3, 2, 1, 0}, "newest": {3, 2, 1, 0}, "oldest": {0, 1, 2, 3}} {
		var walked []uint64
		pages := 0
		for f := (LedgerFilter{Limit: 1, Order: order}); pages < 9; pages++ {
			got, p := page(f)
			walked = append(walked, got...)
			if f.Cursor = p.Next; f.Cursor == "" {
				break
			}
		}
		if !slices.Equal(walked, want) || pages != 3 {
			t.Errorf("in the order %q, page by page: %v, %d pages before the last", order, walked, pages)
		}
	}
	for _, bad := range []LedgerFilter{{Cursor: "x"}, {Cursor: "-1"}, {Cursor: "0"}, {Cursor: "oldest-1"}, {Cursor: "1", Order: "oldest"}, {Cursor: "oldest-", Order: "oldest"}, {Cursor: "oldest--1", Order: "oldest"}} {
		if _, err := b.Page(t.Context(), bad); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %q in the order %q: %v", bad.Cursor, bad.Order, err)
		}
	}
	if _, err := b.Page(t.Context(), LedgerFilter{Order: "largest"}); !errors.Is(err, ErrBadInput) || !strings.Contains(err.Error(), "newest, oldest") {
		t.Errorf("an order that there is not: %v", err)
	}
	closeBook(t, b)

	b = openBook(t, dir, nil) // by a server that cannot read what it records
	defer closeBook(t, b)
	b.Verify(t.Context())
	if !b.Take(t.Context(), append(pieces, piece("c", now))) || b.State().Size != 4 || !slices.Equal(index(b), first) {
		t.Errorf("after a restart: %v of %+v", index(b), b.State())
	}
	if _, p := page(LedgerFilter{}); len(p.Entries) != 4 || !p.Entries[0].Sealed || p.Entries[0].ID != "" || p.Entries[0].Control != "" || p.Entries[0].Period == "" {
		t.Errorf("sealed: %+v", p)
	}
}

// TestDamagedBook: a ledger that was damaged is shown as far as it goes, with what is wrong, and
// nothing is recorded in it.
func TestDamagedBook(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"an entry": func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "log/tile/entries/000.p/2"), 40) },
		"a hash":   func(t *testing.T, dir string) { flip(t, filepath.Join(dir, "log/tile/0/000.p/2"), 3) },
		"the checkpoint": func(t *testing.T, dir string) {
			flip(t, filepath.Join(dir, "log/checkpoint"), 60)
		},
		"the state": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "private/state")); err != nil {
				t.Fatal(err)
			}
		},
		"the configuration": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "ledger.json")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, identities := newLedger(t)
			b := openBook(t, dir, identities)
			b.Verify(t.Context())
			b.Record(t.Context(), "a", envelopeOf("x/y", "z", "held"))
			closeBook(t, b)
			damage(t, dir)
			b = openBook(t, dir, identities)
			defer closeBook(t, b)
			b.Verify(t.Context())
			b.Record(t.Context(), "b", envelopeOf("x/y", "z", "held"))
			if _, recorded := b.Index("b"); recorded || b.State().Appending || b.State().Problem == "" {
				t.Errorf("it goes on: %+v", b.State())
			}
			if p, err := b.Page(t.Context(), LedgerFilter{}); err != nil || p.Problem == "" {
				t.Errorf("the page does not say so: %+v, %v", p, err)
			}
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(b)
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() == "bailey_ledger_damaged" && f.GetMetric()[0].GetGauge().GetValue() != 1 {
					t.Error("the metric says that it is well")
				}
			}
		})
	}
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerFiles: the log's published files are given, whole tiles to be kept for good, and no
// other file of the folder, by whatever name or link; its entries are listed in both orders.
func TestLedgerFiles(t *testing.T) {
	dir, identities := newLedger(t)
	b := openBook(t, dir, identities)
	defer closeBook(t, b)
	b.Verify(t.Context())
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() { b.Record(t.Context(), fmt.Sprint(i), envelopeOf("x/y", "z", "held")) })
	}
	all.Wait()
	awaitSigned(t, b, 301)
	api := &API{Version: "test", Rights: LocalRights{}, Book: b, Log: slog.New(slog.DiscardHandler)}
	front := &Front{Sessions: &Sessions{Now: time.Now}, Tokens: NewLocalToken("the-token-of-this-machine-0123456789", nil), Log: api.Log, Now: time.Now}
	s := httptest.NewServer(front.Wrap(api.Handler()))
	defer s.Close()
	get := func(path string, header ...string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = "//" + r.URL.Host + path // as it is written
		r.Header.Set("Authorization", "Bearer the-token-of-this-machine-0123456789")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body), answer.Header
	}
	for path, cached := range map[string]bool{"checkpoint": false, "tile/0/000": true, "tile/entries/000": true, "tile/0/001.p/45": false, "tile/1/000.p/1": false} {
		code, body, header := get("/api/v1/ledger/" + path)
		want, err := os.ReadFile(filepath.Join(dir, "log", path))
		if code != http.StatusOK || err != nil || body != string(want) || strings.Contains(header.Get("Cache-Control"), "immutable") != cached {
			t.Errorf("%s: %d, %d bytes, %q, %v", path, code, len(body), header.Get("Cache-Control"), err)
		}
		if code, body, _ := get("/api/v1/ledger/"+path, "If-None-Match", header.Get("ETag")); code != http.StatusNotModified || body != "" {
			t.Errorf("%s again: %d", path, code)
		}
	}
	for query, want := range map[string]struct {
		status int
		has    string
	}{
		"?limit=1":              {http.StatusOK, `"index":300`},
		"?limit=1&order=oldest": {http.StatusOK, `"next":"oldest-0"`},
		"?limit=1&order=oldest&cursor=oldest-299": {http.StatusOK, `"index":300`},
		"?order=oldest&cursor=299":                {http.StatusUnprocessableEntity, "no place in the ledger in this order"},
		"?order=largest":                          {http.StatusUnprocessableEntity, "order"},
	} {
		if code, body, _ := get("/api/v1/ledger/entries" + query); code != want.status || !strings.Contains(body, want.has) {
			t.Errorf("entries%s: %d %.300s", query, code, body)
		}
	}
	if err := os.Symlink("../../private/log.key", filepath.Join(dir, "log/tile/009")); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"log/tile/0/007": "../../../private/log.key", "log/tile/0/008": "000", "log/tile/5": "../../private"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "private/000"), []byte("PRIVATE"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"tile/0/007", "tile/0/008", "tile/5/000", "tile/009", "tile/0/099", "tile/../checkpoint", "tile/../../private/log.key", "tile/%2e%2e/%2e%2e/private/log.key",
		"tile/..%2f..%2fprivate%2flog.key", "tile/../.state/treeState", "tile/", "tile/0", "tile/0/000/", "tile/0//000", "tile/entries/x000", "tile/0/000.p/", "keys/x.age", "ledger.json"} {
		if code, body, _ := get("/api/v1/ledger/" + path); code == http.StatusOK || strings.Contains(body, "PRIVATE") {
			t.Errorf("%s: %d %.80q", path, code, body)
		}
	}
}

func FuzzReadRecorded(f *testing.F) {
	f.Add(envelopeOf("compute/pod-security", "privileged", "held"))
	f.Add([]byte(`{"payload":"e30="}`))
	f.Add([]byte(`{"payload":"!"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readRecorded(data)
		if len(r.Control) > nameMost || len(r.Experiment) > nameMost || len(r.Verdict) > nameMost || err != nil && r != (recorded{}) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func FuzzPublished(f *testing.F) {
	for _, name := range []string{"checkpoint", "tile/0/000", "tile/entries/x001/x234/067.p/12", "../private/log.key", "tile/0/000\n"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if published.MatchString(name) && (!filepath.IsLocal(name) || filepath.Clean(name) != name || strings.ContainsAny(name, "\\\n\x00") || name != "checkpoint" && !strings.HasPrefix(name, "tile/")) {
			t.Errorf("%q is published", name)
		}
	})
}

// TestBookAwaited: a lock that another process holds, and a disk that does not answer, are waited for and
// told of; neither counts as damage.
func TestBookAwaited(t *testing.T) {
	dir, identities := newLedger(t)
	first := openBook(t, dir, identities)
	second, err := OpenBook(BookOptions{Dir: dir, Identities: identities, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer closeBook(t, second)
	got := make(chan error, 1)
	go func() { got <- second.Await(t.Context()) }()
	select {
	case err := <-got:
		t.Fatalf("two write: %v", err)
	case <-time.After(2 * lockWait):
	}
	if err := first.Rest(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	second.Verify(t.Context())
	second.Record(t.Context(), "a", envelopeOf("x/y", "z", "held"))
	if s := second.State(); s.Problem != "" || !s.Appending {
		t.Errorf("%+v", s)
	}
	second.fail("a disk that is full", syscall.ENOSPC)
	if s := second.State(); s.Problem == "" || s.Damaged {
		t.Errorf("a full disk: %+v", s)
	}
	if err := second.Rest(); err != nil {
		t.Fatal(err)
	}
	if s := second.State(); s.Problem != "" {
		t.Errorf("who writes no more goes on telling what it could not do: %+v", s)
	}
	for err, want := range map[error]bool{&fs.PathError{Op: "open", Err: syscall.ESTALE}: true, fmt.Errorf("lock: %w", syscall.ENOLCK): true, context.DeadlineExceeded: true,
		&fs.PathError{Op: "open", Err: syscall.ENOENT}: false, errors.New("tile 3 is not what was signed"): false} {
		if away(err) != want {
			t.Errorf("%v: away is %t", err, !want)
		}
	}
	closeBook(t, first)
}

// TestBookDoubted: a ledger that could not be read once is not taken for verified any more, also when it can
// be read again.
func TestBookDoubted(t *testing.T) {
	dir, identities := newLedger(t)
	b := openBook(t, dir, identities)
	defer closeBook(t, b)
	b.Verify(t.Context())
	if s := b.State(); s.Verified == nil || s.Problem != "" {
		t.Fatalf("%+v", s)
	}
	checkpoint := filepath.Join(dir, "log/checkpoint")
	whole, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, checkpoint, 60)
	if s := b.State(); s.Verified != nil || !s.Damaged {
		t.Errorf("with another checkpoint: %+v", s)
	}
	if err := os.WriteFile(checkpoint, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := b.State(); s.Verified != nil || s.Problem != "" {
		t.Errorf("with the first one again: %+v", s)
	}
}
