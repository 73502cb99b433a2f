package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"time"

	"filippo.io/age"
)

// The kinds of entries that List tells apart.
const (
	ListedRecord = "record"
	ListedKey    = "key"   // a period begins
	ListedShred  = "shred" // a period's key is destroyed
)

// Listed is an entry as a list shows it, whether or not it can be opened.
type Listed struct {
	Index  uint64
	Kind   string
	Period string // whose key sealed it; that begins; or whose key is destroyed
	Bytes  int    // of the entry, with the large record that it names
	// Time is when the entry was made, by the writer's clock. Of a record it is sealed with the rest.
	Time time.Time
	ID   string
	Data json.RawMessage
	// Sealed tells that the record was not opened, and Shredded that nobody can.
	Sealed, Shredded bool
}

// ListOptions say which entries to list.
type ListOptions struct {
	// From is the first index that is listed, and Before the one after the last; 0 means the end.
	From, Before uint64
	// Oldest lists the oldest first.
	Oldest bool
	// Identities unwrap the period keys. Without any no record is opened.
	Identities []age.Identity
	// Open is asked of each record before it is opened, by its index and size; nil opens all.
	Open func(index uint64, bytes int) bool
}

// Listing is the signed part of a ledger.
type Listing struct {
	Config Config
	Size   uint64 // of the newest signed checkpoint
	// Entries gives the entries, the newest first unless asked otherwise, each checked against the log's
	// tree. The first error ends the sequence.
	Entries iter.Seq2[Listed, error]
}

// List lists the entries that the newest checkpoint covers, key and shred entries too.
func List(ctx context.Context, fsys fs.FS, o ListOptions) (Listing, error) {
	r, err := newReader(fsys, ReadOptions{Identities: o.Identities})
	if err != nil {
		return Listing{}, err
	}
	return Listing{Config: r.config, Size: r.signed, Entries: func(yield func(Listed, error) bool) {
		from, end := o.From, r.signed
		if o.Before != 0 {
			end = min(end, o.Before)
		}
		for from < end {
			bundle, walk := (end-1)/tileWidth, slices.Backward[[][]byte]
			if o.Oldest {
				bundle, walk = from/tileWidth, slices.All[[][]byte]
			}
			entries, err := authenticated(r.tree, r.hashes, bundle)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(Listed{}, err)
				return
			}
			begin := bundle * tileWidth
			first, next := max(from, begin), min(end, begin+tileWidth)
			for i, data := range walk(entries[first-begin : next-begin]) {
				one, err := r.listed(first+uint64(i), data, o.Open)
				if !yield(one, err) || err != nil {
					return
				}
			}
			if o.Oldest {
				from = next
			} else {
				end = first
			}
		}
	}}, nil
}

// listed is what a list shows of an entry.
func (r *reader) listed(index uint64, data []byte, open func(uint64, int) bool) (Listed, error) {
	e, err := parseEntry(data)
	if err != nil {
		return Listed{}, err
	}
	one := Listed{Index: index, Bytes: len(data)}
	switch e.kind {
	case kindKey:
		one.Kind, one.Period = ListedKey, e.newKey.Period
		one.Time, err = time.Parse(periodLayout, one.Period)
		return one, err
	case kindShred:
		one.Kind, one.Period = ListedShred, e.shred.Period
		one.Time, err = time.Parse(time.RFC3339, e.shred.Time)
		return one, err
	}
	one.Kind, one.Sealed = ListedRecord, true
	one.Bytes += int(e.bodySize)
	key, err := r.keyEntry(e.key)
	if err != nil {
		return one, err
	}
	one.Period = key.Period
	if len(r.identities) == 0 || r.locked[e.key] || open != nil && !open(index, one.Bytes) {
		return one, nil
	}
	opened, _, err := r.record(index, data)
	if errors.Is(err, errNoIdentity) {
		r.locked[e.key] = true
		return one, nil
	}
	one.ID, one.Time, one.Data, one.Shredded, one.Sealed = opened.ID, opened.Time, opened.Data, opened.Shredded, opened.Shredded
	return one, err
}

// Begun is when the first period of a ledger began, by its writer's clock: no record is older.
func Begun(fsys fs.FS) (time.Time, error) {
	r, err := newReader(fsys, ReadOptions{})
	if err != nil {
		return time.Time{}, err
	}
	k, err := r.keyEntry(0)
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(periodLayout, k.Period)
}
