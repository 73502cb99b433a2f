package ledger

import (
	"fmt"
	"slices"
)

// flushAt is how many keyed IDs are held in memory before they become a sorted
// run on the disk. With the map's own cost that is about 12 MB, twice while a run is written.
const flushAt = 1 << 18

// known finds the index of a record by its keyed ID. The newest are in memory,
// the rest in sorted runs. All of it is made from the log and can be
// deleted: the next Open makes it again.
type known struct {
	dir    string
	tree   func() tree // to confirm what a run says
	recent map[keyedID]uint64
	frozen map[keyedID]uint64 // being written as a run
	runs   []*run             // oldest first
	saved  uint64             // entries below this index are in runs

	// Indexes arrive out of order; below next there is none missing.
	next  uint64
	ahead map[uint64]struct{}

	flushed chan flushResult // of the one flush under way
}

type flushResult struct {
	runs  []*run
	saved uint64
	err   error
}

func openKnown(dir string, tree func() tree) (*known, error) {
	k := &known{dir: dir, tree: tree, recent: map[keyedID]uint64{}, ahead: map[uint64]struct{}{}}
	var err error
	k.runs, k.saved, err = openRuns(dir)
	k.next = k.saved
	return k, err
}

// find gives the index of a record.
func (k *known) find(id keyedID) (uint64, bool, error) {
	if index, ok := k.recent[id]; ok {
		return index, true, nil
	}
	if index, ok := k.frozen[id]; ok {
		return index, true, nil
	}
	for i := len(k.runs) - 1; i >= 0; i-- {
		index, ok, err := k.runs[i].find(id)
		if err != nil {
			return 0, false, err
		}
		if ok {
			return index, true, k.confirm(id, index)
		}
	}
	return 0, false, nil
}

// confirm reads what a run promises: a damaged run must not make a record
// disappear as somebody else's retry.
func (k *known) confirm(id keyedID, index uint64) error {
	data, err := k.tree().entry(index)
	if err == nil {
		var e entry
		if e, err = parseEntry(data); err == nil && e.id != id {
			err = fmt.Errorf("entry %d is another record", index)
		}
	}
	if err != nil {
		return fmt.Errorf("the index of IDs in %s is damaged: %w\nhint: delete that folder; it is made again from the log", k.dir, err)
	}
	return nil
}

// put remembers a record.
func (k *known) put(id keyedID, index uint64) {
	k.recent[id] = index
	k.pass(index)
	k.collect(false)
	if len(k.recent) >= flushAt && k.flushed == nil {
		k.flush()
	}
}

// pass notes that what the entry of this index says is known.
func (k *known) pass(index uint64) {
	if index < k.next {
		return
	}
	k.ahead[index] = struct{}{}
	for {
		if _, ok := k.ahead[k.next]; !ok {
			return
		}
		delete(k.ahead, k.next)
		k.next++
	}
}

// flush writes what is in memory as a run, beside the work.
func (k *known) flush() {
	frozen, runs, saved := k.recent, k.runs, k.next
	k.frozen, k.recent = frozen, make(map[keyedID]uint64, flushAt)
	done := make(chan flushResult, 1)
	k.flushed = done
	go func() {
		merged, err := addRun(k.dir, runs, frozen, saved)
		done <- flushResult{merged, saved, err}
	}()
}

// collect takes over a run that was written, if wait is set after waiting for it.
func (k *known) collect(wait bool) {
	if k.flushed == nil {
		return
	}
	if !wait {
		select {
		case r := <-k.flushed:
			k.take(r)
		default:
		}
		return
	}
	k.take(<-k.flushed)
}

func (k *known) take(r flushResult) {
	k.flushed = nil
	if r.err != nil {
		// It stays in memory, and the next flush tries again.
		for id, index := range k.recent {
			k.frozen[id] = index
		}
		k.recent, k.frozen = k.frozen, nil
		return
	}
	for _, old := range k.runs {
		if !slices.Contains(r.runs, old) {
			old.close() // it was merged
		}
	}
	k.runs, k.saved, k.frozen = r.runs, r.saved, nil
}

// close writes what is worth it, so that the next Open need not read the log for it.
func (k *known) close() {
	k.collect(true)
	if k.next-k.saved >= flushAt/32 {
		k.flush()
		k.collect(true)
	}
	for _, r := range k.runs {
		r.close()
	}
}

// scan reads the entries that no run holds from the log.
func (k *known) scan(t tree) error {
	if k.saved > t.size {
		return fmt.Errorf("the log has %d entries, but %s was made when it had %d: an older copy was put back\nhint: restore the newest log; a shorter one must not be signed again", t.size, indexFolder, k.saved)
	}
	for bundle := k.saved / tileWidth; bundle*tileWidth < t.size; bundle++ {
		entries, name, err := t.entries(bundle)
		if err != nil {
			return err
		}
		for i, data := range entries {
			index := bundle*tileWidth + uint64(i)
			e, err := parseEntry(data)
			if err != nil {
				return fmt.Errorf("%s: entry %d: %w", name, index, err)
			}
			switch e.kind {
			case kindRecord, kindBody:
				if _, ok := k.recent[e.id]; !ok { // the first of an ID counts
					k.put(e.id, index)
					continue
				}
			}
			k.pass(index)
		}
	}
	return nil
}
