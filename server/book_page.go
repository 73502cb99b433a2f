package server

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey/ledger"
)

// The bounds of a page of the ledger's entries.
const (
	ledgerRows     = 50
	ledgerRowsMost = 1000
	// ledgerLooked is how many entries are looked at for one page.
	ledgerLooked = 4096
	// ledgerOpened is the size in bytes of the largest record that is opened for a page.
	ledgerOpened = 4 << 20
)

// oldestCursor begins the cursors of pages that list the oldest entries first.
const oldestCursor = "oldest-"

// place has a listing go on where the page before ended. A cursor is the index of the last entry that was looked at; of
// the other order it is none.
func (f *LedgerFilter) place(o *ledger.ListOptions) error {
	o.Oldest = f.Order == "oldest"
	if f.Cursor == "" {
		return nil
	}
	digits, oldest := strings.CutPrefix(f.Cursor, oldestCursor)
	last, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case err != nil || oldest != o.Oldest || last == 0 && !oldest:
		return fmt.Errorf("%w: %q is no place in the ledger in this order; begin at the first page", ErrCursor, strings.ToValidUTF8(f.Cursor, ""))
	case oldest:
		o.From = last + 1
	default:
		o.Before = last
	}
	return nil
}

// Page lists entries that are signed.
func (b *Book) Page(ctx context.Context, f LedgerFilter) (LedgerPage, error) {
	o := ledger.ListOptions{Identities: b.o.Identities, Open: func(index uint64, bytes int) bool { return bytes <= ledgerOpened && !b.shown.Contains(index) }}
	if err := cmp.Or(known("order", f.Order, TimeOrders), f.place(&o)); err != nil {
		return LedgerPage{}, err
	}
	limit := min(f.Limit, ledgerRowsMost)
	if limit <= 0 {
		limit = ledgerRows
	}
	state := b.State()
	p := LedgerPage{Entries: []LedgerEntry{}, Problem: state.Problem}
	list, err := ledger.List(ctx, b.root.FS(), o)
	if err != nil {
		return b.damaged(ctx, p, err)
	}
	p.Origin, p.Key, p.Size = list.Config.Origin, list.Config.Key, list.Size
	looked := 0
	for e, err := range list.Entries {
		if err != nil {
			return b.damaged(ctx, p, err)
		}
		one := b.show(&e)
		if f.takes(&one) {
			p.Entries = append(p.Entries, one)
		}
		if looked++; len(p.Entries) < limit && looked < ledgerLooked {
			continue
		}
		switch {
		case o.Oldest && e.Index+1 < list.Size:
			p.Next = oldestCursor + strconv.FormatUint(e.Index, 10)
		case !o.Oldest && e.Index > 0:
			p.Next = strconv.FormatUint(e.Index, 10)
		}
		break
	}
	return p, nil
}

// damaged gives the page as far as it goes, with what is wrong with the rest.
func (b *Book) damaged(ctx context.Context, p LedgerPage, err error) (LedgerPage, error) {
	if ctx.Err() != nil {
		return p, ctx.Err()
	}
	b.o.Log.Error("the ledger cannot be listed", "ledger", b.o.Dir, "error", err)
	if p.Problem == "" {
		p.Problem = err.Error()
	}
	return p, nil
}

// show is what is shown of an entry.
func (b *Book) show(e *ledger.Listed) LedgerEntry {
	if known, found := b.shown.Get(e.Index); found {
		return known
	}
	one := LedgerEntry{Index: e.Index, Kind: e.Kind, Period: e.Period, Bytes: e.Bytes, Sealed: e.Sealed, At: e.Time, ID: e.ID}
	if e.Kind == ledger.ListedRecord && !e.Sealed {
		if told, err := readRecorded(e.Data); err == nil {
			one.Control, one.Experiment, one.Verdict = told.Control, told.Experiment, told.Verdict
		}
		b.shown.Add(e.Index, one)
	}
	return one
}

func (f *LedgerFilter) takes(e *LedgerEntry) bool {
	switch {
	case f.Kind != "" && e.Kind != f.Kind, f.Control != "" && e.Control != f.Control,
		!f.Since.IsZero() && e.At.Before(f.Since), !f.Until.IsZero() && (e.At.IsZero() || !e.At.Before(f.Until)):
		return false
	case f.Text == "":
		return true
	}
	text := strings.ToLower(f.Text)
	for _, s := range []string{e.Control, e.Experiment, e.Verdict, e.Period, e.ID} {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

// recorded is what is shown of a record of evidence.
type recorded struct{ Control, Experiment, Verdict string }

// nameMost bounds the names that a record tells.
const nameMost = 256

// readRecorded reads what a signed statement says that it is about. Its signature is not
// asked for: what was recorded is shown, and the ledger proves that it was.
func readRecorded(data []byte) (recorded, error) {
	var envelope struct{ Payload string }
	if err := json.Unmarshal(data, &envelope); err != nil {
		return recorded{}, err
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		return recorded{}, err
	}
	var statement struct {
		Predicate struct {
			Evidence struct{ Control, Experiment string }
			Verdict  string
		}
	}
	if err := json.Unmarshal(payload, &statement); err != nil {
		return recorded{}, err
	}
	p := &statement.Predicate
	r := recorded{p.Evidence.Control, p.Evidence.Experiment, p.Verdict}
	if len(r.Control) > nameMost || len(r.Experiment) > nameMost || len(r.Verdict) > nameMost {
		return recorded{}, errors.New("its names are too long")
	}
	return r, nil
}
