package ledger

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// checkTail refuses entries after the last checkpoint that the writer did not make: what
// it opens with is signed next, and whoever can write the folder could have put them there. A key or
// shred entry must have been announced, and a record must open with the current period's key: a
// period ends only when its records are signed.
func (l *Log) checkTail(state treeState, signed uint64) error {
	t := l.integrated()
	hashes := t.hashes(state.root())
	for bundle := signed / tileWidth; bundle*tileWidth < t.size; bundle++ {
		entries, err := authenticated(t, hashes, bundle)
		if err != nil {
			return err
		}
		for i, data := range entries {
			index := bundle*tileWidth + uint64(i)
			if index < signed {
				continue
			}
			if err := l.made(index, data); err != nil {
				return fmt.Errorf("entry %d is not signed yet, and this writer did not make it: %w\nhint: somebody wrote into the folder; restore it as it was up to entry %d", index, err, signed)
			}
		}
	}
	return nil
}

// made says why an entry is none that this writer made.
func (l *Log) made(index uint64, data []byte) error {
	e, err := parseEntry(data)
	if err != nil {
		return err
	}
	if e.kind == kindKey || e.kind == kindShred {
		if !l.own.announced(hexSum(data)) {
			return fmt.Errorf("%s knows of no such key or shred entry", ownFile)
		}
		return nil
	}
	p := l.period.Load()
	if p == nil || e.key != p.Index || index <= p.Index {
		return errors.New("it is no record of the current period")
	}
	sealed := e.sealed
	if e.kind == kindBody {
		if sealed, err = readBody(os.DirFS(l.dir), e); err != nil {
			return err
		}
	}
	record, _, err := p.sealer.open(e.header, sealed)
	if err != nil {
		return err
	}
	if keyID(l.idKey, record.ID) != e.id {
		return errKeyedID
	}
	return nil
}

// authenticated gives the entries of a bundle, whose hashes are those of the tree.
func authenticated(t tree, hashes tlog.HashReader, bundle uint64) ([][]byte, error) {
	entries, name, err := t.entries(bundle)
	if err != nil {
		return nil, fmt.Errorf("%w\nhint: `bailey ledger verify` says what else is damaged", err)
	}
	places := make([]int64, len(entries))
	for i := range entries {
		places[i] = tlog.StoredHashIndex(0, int64(bundle*tileWidth)+int64(i))
	}
	have, err := hashes.ReadHashes(places)
	if err != nil {
		return nil, fmt.Errorf("the log is damaged: %w\nhint: `bailey ledger verify` says what is damaged", err)
	}
	for i, data := range entries {
		if tlog.RecordHash(data) != have[i] {
			return nil, fmt.Errorf("%s: entry %d was changed: its hash is not the tree's", name, bundle*tileWidth+uint64(i))
		}
	}
	return entries, nil
}
