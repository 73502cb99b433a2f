package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// ErrNoLedger tells that no ledger is kept here.
var ErrNoLedger = fmt.Errorf("no ledger is kept here: %w", ErrNotFound)

type ledgerQuestion struct {
	Kind    string    `query:"kind" enum:"record,key,shred"`
	Control string    `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
	Text    string    `query:"text" doc:"a text in control, experiment, verdict, period or ID" maxLength:"256"`
	Since   time.Time `query:"since" doc:"made since then"`
	Until   time.Time `query:"until" doc:"made before"`
	Order   string    `query:"order" enum:"newest,oldest" default:"newest"`
	Cursor  string    `query:"cursor" doc:"next of the page before" maxLength:"32"`
	Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
}

// ledgerReading registers what reads the ledger. Its entries are of the whole cluster, so
// that no namespace's right shows them.
func (a *API) ledgerReading(api huma.API) {
	errs := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	huma.Register(api, huma.Operation{Method: http.MethodGet, Path: "/api/v1/ledger/entries", OperationID: "listLedgerEntries",
		Summary: "Entries of the ledger", Errors: errs},
		func(ctx context.Context, in *ledgerQuestion) (*body[LedgerPage], error) {
			if err := a.may(ctx, ReadLedger); err != nil {
				return nil, err
			}
			if a.Book == nil {
				return nil, a.fail(ErrNoLedger)
			}
			p, err := a.Book.Page(ctx, LedgerFilter{Kind: in.Kind, Control: in.Control, Text: in.Text, Since: in.Since, Until: in.Until, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
			if err != nil {
				return nil, a.fail(err)
			}
			return &body[LedgerPage]{p}, nil
		})
	huma.Register(api, huma.Operation{Method: http.MethodGet, Path: "/api/v1/ledger/checkpoint", OperationID: "getLedgerCheckpoint",
		Summary: "The newest signed checkpoint of the ledger (C2SP tlog-checkpoint)", Errors: errs,
		Description: "The hashes and entries that it covers are at /api/v1/ledger/tile/, as C2SP tlog-tiles lays them out.",
		Responses:   map[string]*huma.Response{"200": {Description: "a signed note", Content: map[string]*huma.MediaType{"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}}}}}},
		func(ctx context.Context, _ *struct{}) (*ledgerFile, error) {
			if err := a.may(ctx, ReadLedger); err != nil {
				return nil, err
			}
			if a.Book == nil {
				return nil, a.fail(ErrNoLedger)
			}
			f, err := a.Book.Open("checkpoint")
			if err != nil {
				return nil, a.fail(err)
			}
			defer f.Close()
			data, err := io.ReadAll(io.LimitReader(f, checkpointMost))
			if err != nil {
				return nil, a.fail(err)
			}
			return &ledgerFile{"text/plain; charset=utf-8", data}, nil
		})
}

// checkpointMost is the size in bytes of the largest checkpoint.
const checkpointMost = 64 << 10

type ledgerFile struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// tile gives a file of the log, as C2SP tlog-tiles lays them out.
func (a *API) tile(w http.ResponseWriter, r *http.Request) {
	if err := a.may(r.Context(), ReadLedger); err != nil {
		var status huma.StatusError
		if !errors.As(err, &status) {
			panic(err) // may gives no other
		}
		http.Error(w, status.Error(), status.GetStatus())
		return
	}
	if a.elsewhere(w, r) {
		return
	}
	if a.Book == nil {
		http.Error(w, "no ledger is kept here\nhint: bailey serve --ledger DIR", http.StatusNotFound)
		return
	}
	name := strings.TrimPrefix(r.URL.Path, "/api/v1/ledger/")
	f, err := a.Book.Open(name)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			a.Log.Error("a file of the ledger could not be read", "file", name, "error", err)
			http.Error(w, "this failed here; the server's log says why", http.StatusInternalServerError)
			return
		}
		http.Error(w, "there is no such tile", http.StatusNotFound)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if !strings.Contains(name, ".p/") {
		w.Header().Set("Cache-Control", immutable)
	}
	_, _ = io.Copy(w, io.LimitReader(f, tileMost))
}

// tileMost is the size in bytes of the largest bundle of entries.
const tileMost = 256 * (2 + 1<<16)

// published are the files of a log that anybody may have who may read the ledger.
var published = regexp.MustCompile(`^(checkpoint|tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,6}[0-9]{3}(\.p/[0-9]{1,3})?)$`)

// Open opens a file of the log that is published: the checkpoint, a tile or a bundle of
// entries. Nothing else of the ledger's folder is given, wherever a link leads.
func (b *Book) Open(name string) (io.ReadCloser, error) {
	if !published.MatchString(name) || b.tree == nil {
		return nil, ErrNotFound
	}
	info, err := b.tree.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return b.tree.Open(name)
}
