package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"filippo.io/age"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ReadOptions say what to read and with which keys.
type ReadOptions struct {
	// From and To bound the indexes: From <= index < To. A To of 0 means the end.
	From, To uint64
	// Identities unwrap the period keys.
	Identities []age.Identity
	// Key is the log's verifier key. Default: the one in ledger.json.
	Key string
}

// Read gives the records of a ledger in the order of the log. Each is checked against the
// log's tree before it is given, and the tree against its signed checkpoint;
// the newest entries may not be signed yet, and are checked against the writer's state.
// The first error ends the sequence.
func Read(ctx context.Context, fsys fs.FS, o ReadOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		r, err := newReader(fsys, o)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		end := r.tree.size
		if o.To != 0 {
			end = min(end, o.To)
		}
		for bundle := o.From / tileWidth; bundle*tileWidth < end; bundle++ {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			entries, err := authenticated(r.tree, r.hashes, bundle)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for i, data := range entries {
				index := bundle*tileWidth + uint64(i)
				if index < o.From || index >= end {
					continue
				}
				e, isRecord, err := r.record(index, data)
				if err != nil {
					yield(Entry{}, fmt.Errorf("entry %d: %w", index, err))
					return
				}
				if isRecord && !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Read gives the records of the log, as the function Read does.
func (l *Log) Read(ctx context.Context, o ReadOptions) iter.Seq2[Entry, error] {
	return Read(ctx, os.DirFS(l.dir), o)
}

// reader opens records. Keys are unwrapped once.
type reader struct {
	fsys       fs.FS
	config     Config
	tree       tree
	hashes     tlog.HashReader
	identities []age.Identity
	periods    map[uint64]*readPeriod // by the index of the key entry
	keys       map[uint64]keyEntry    // the same
	locked     map[uint64]bool        // the same: those that no identity unwraps
	signed     uint64                 // entries below this index are signed
	shredded   map[uint64]bool        // key entries, by index; nil before it was asked for
}

type readPeriod struct {
	name   string
	sealer *sealer
	ids    []byte // HMAC key
	gone   bool   // shredded
}

func newReader(fsys fs.FS, o ReadOptions) (*reader, error) {
	config, _, err := readConfig(fsys)
	if err != nil {
		return nil, err
	}
	key := config.Key
	if o.Key != "" {
		key = o.Key
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	log := logFS{fsys}
	data, err := readBounded(log, checkpointFile, maxCheckpoint)
	if err != nil {
		return nil, err
	}
	signed, err := OpenCheckpoint(data, v)
	if err != nil {
		return nil, err
	}
	r := &reader{fsys: fsys, config: config, identities: o.Identities, periods: map[uint64]*readPeriod{}, keys: map[uint64]keyEntry{}, locked: map[uint64]bool{}, signed: signed.Size}
	r.tree, r.hashes = tree{log, signed.Size}, tree{log, signed.Size}.hashes(signed.Root)
	state, err := readTreeState(log)
	if err == nil && state.Size > signed.Size {
		t := tree{log, state.Size}
		hashes := t.hashes(state.root())
		root, err := tlog.TreeHash(int64(signed.Size), hashes)
		if err != nil {
			return nil, fmt.Errorf("the log is damaged: %w\nhint: `bailey ledger verify` says what is damaged", err)
		}
		if root != signed.Root {
			return nil, errors.New("the entries that are not signed yet do not extend the signed checkpoint\nhint: `bailey ledger verify` says what is damaged")
		}
		r.tree, r.hashes = t, hashes
	}
	return r, nil
}

// record opens an entry. Key and shred entries are no records.
func (r *reader) record(index uint64, data []byte) (Entry, bool, error) {
	e, err := parseEntry(data)
	if err != nil {
		return Entry{}, false, err
	}
	if e.kind != kindRecord && e.kind != kindBody {
		return Entry{}, false, nil
	}
	p, err := r.period(e.key)
	if err != nil {
		return Entry{}, false, err
	}
	out := Entry{Index: index, Period: p.name, Shredded: p.gone}
	if p.gone {
		return out, true, nil
	}
	sealed := e.sealed
	if e.kind == kindBody {
		if sealed, err = readBody(r.fsys, e); err != nil {
			return out, false, err
		}
	}
	record, at, err := p.sealer.open(e.header, sealed)
	if err != nil {
		return out, false, err
	}
	if keyID(p.ids, record.ID) != e.id {
		return out, false, errKeyedID
	}
	out.ID, out.Time, out.Data = record.ID, at, record.Data
	return out, true, nil
}

var errKeyedID = errors.New("its keyed ID is not that of the record in it")

// readBody reads a sealed record that lies beside the log.
func readBody(fsys fs.FS, e entry) ([]byte, error) {
	path := bodyPath(e.bodySum)
	sealed, err := readBounded(fsys, path, int64(e.bodySize))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(sealed) != e.bodySum {
		return nil, fmt.Errorf("%s was changed", path)
	}
	return sealed, nil
}

// period gives the key that the key entry of an index announces.
func (r *reader) period(index uint64) (*readPeriod, error) {
	if p, ok := r.periods[index]; ok {
		return p, nil
	}
	announced, err := r.keyEntry(index)
	if err != nil {
		return nil, err
	}
	p := &readPeriod{name: announced.Period}
	key, err := unwrapKey(r.fsys, announced, r.identities)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		shredded, err := r.wasShredded(index)
		if err != nil {
			return nil, err
		}
		if !shredded {
			return nil, fmt.Errorf("%s is missing, and no signed entry of the log says that it was destroyed\nhint: restore it from a copy of the ledger", wrappedPath(p.name))
		}
		p.gone = true
	case err != nil:
		return nil, err
	default:
		p.ids = key.IDs
		if p.sealer, err = newSealer(key.Key, r.config.Origin, p.name); err != nil {
			return nil, err
		}
	}
	r.periods[index] = p
	return p, nil
}

// keyEntry reads the key entry of an index.
func (r *reader) keyEntry(index uint64) (keyEntry, error) {
	if k, known := r.keys[index]; known {
		return k, nil
	}
	if index >= r.tree.size {
		return keyEntry{}, fmt.Errorf("it names entry %d as its key, which is not there", index)
	}
	entries, err := authenticated(r.tree, r.hashes, index/tileWidth)
	if err != nil {
		return keyEntry{}, err
	}
	e, err := parseEntry(entries[index%tileWidth])
	if err != nil {
		return keyEntry{}, err
	}
	if e.kind != kindKey {
		return keyEntry{}, fmt.Errorf("it names entry %d as its key, which is none", index)
	}
	r.keys[index] = e.newKey
	return e.newKey, nil
}

// wasShredded reports whether the log announces that the key of a key entry was destroyed. It
// reads the signed part of the log, once.
func (r *reader) wasShredded(key uint64) (bool, error) {
	if r.shredded != nil {
		return r.shredded[key], nil
	}
	found := map[uint64]bool{}
	for bundle := uint64(0); bundle*tileWidth < r.signed; bundle++ {
		entries, err := authenticated(r.tree, r.hashes, bundle)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an export of a part has those with such entries
		}
		if err != nil {
			return false, err
		}
		for i, data := range entries {
			if e, err := parseEntry(data); err == nil && e.kind == kindShred && bundle*tileWidth+uint64(i) < r.signed {
				found[e.shred.Key] = true
			}
		}
	}
	r.shredded = found
	return found[key], nil
}
