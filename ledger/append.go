package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"

	"github.com/transparency-dev/tessera"
)

// batch is the new records of one call of Append on their way into the log.
type batch struct {
	records []Record
	ids     []keyedID
	sealed  [][]byte // entries; nil where sealing failed
	indexes []uint64
	errs    []error
	entered bool // it holds l.sealing
	done    chan struct{}
}

// place is where a record's index will be found.
type place struct {
	*batch
	at int
}

// Append seals the records and adds them to the log. It returns their
// indexes, in the order of the records, once all of them are on the disk. A
// record whose ID is in the log already, or twice in the call, gets the index it has. Append may
// be called from many goroutines; the order of records of one call in the log is not promised.
//
// After an error some of the records may be in the log. Appending them again with
// the same IDs is safe: what is there is found. If ctx ends first, the records may still arrive.
func (l *Log) Append(ctx context.Context, records ...Record) ([]uint64, error) {
	ids := make([]keyedID, len(records))
	for i, r := range records {
		if err := r.check(i); err != nil {
			return nil, err
		}
		ids[i] = keyID(l.idKey, r.ID)
	}
	if len(records) == 0 {
		return nil, ctx.Err()
	}
	b, places, indexes, err := l.admit(records, ids)
	if err != nil {
		return nil, err
	}
	if len(b.ids) > 0 {
		l.sealBatch(b)
		l.queue.put(b)
	}
	var failed error
	for i, p := range places {
		if p.batch == nil {
			continue // it was in the log
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		indexes[i] = p.indexes[p.at]
		failed = cmp.Or(failed, p.errs[p.at])
	}
	if failed != nil {
		return nil, failed
	}
	return indexes, nil
}

// Find gives the indexes of those of these records that are in the log and on the disk,
// by their IDs. It waits for what is under way, and after a failed write looks at what
// that left: what is not in the answer is not in the log.
func (l *Log) Find(ids ...string) (map[string]uint64, error) {
	found := make(map[string]uint64, len(ids))
	for _, id := range ids {
		index, ok, err := l.find(keyID(l.idKey, id))
		if err != nil {
			return nil, err
		}
		if ok {
			found[id] = index
		}
	}
	return found, nil
}

func (l *Log) find(id keyedID) (uint64, bool, error) {
	for {
		l.mu.Lock()
		if err := l.ready(); err != nil {
			l.mu.Unlock()
			return 0, false, err
		}
		p, underway := l.pending[id]
		if !underway {
			index, ok, err := l.known.find(id)
			l.mu.Unlock()
			return index, ok, err
		}
		l.mu.Unlock()
		<-p.done
	}
}

// admit looks the records up and gives those that are new as a batch, which
// the caller must sequence.
func (l *Log) admit(records []Record, ids []keyedID) (*batch, []place, []uint64, error) {
	places := make([]place, len(records))
	indexes := make([]uint64, len(records))
	b := &batch{done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return nil, nil, nil, err
	}
	for i, id := range ids {
		index, found, err := l.known.find(id)
		if err != nil {
			l.abandon(b)
			return nil, nil, nil, err
		}
		if found {
			indexes[i] = index
			continue
		}
		p, underway := l.pending[id]
		if !underway {
			p = place{b, len(b.ids)}
			b.records = append(b.records, records[i])
			b.ids = append(b.ids, id)
			l.pending[id] = p
		}
		places[i] = p
	}
	if len(b.ids) > 0 {
		b.indexes, b.errs = make([]uint64, len(b.ids)), make([]error, len(b.ids))
		l.running++
	}
	return b, places, indexes, nil
}

// abandon takes back what admit announced. l.mu is held.
func (l *Log) abandon(b *batch) {
	for _, id := range b.ids {
		delete(l.pending, id)
	}
}

// sealBatch makes the entries of a batch, in the goroutine of the caller.
func (l *Log) sealBatch(b *batch) {
	b.sealed = make([][]byte, len(b.ids))
	p, err := l.enterPeriod(context.Background()) // a period that begins is finished
	b.entered = err == nil
	for i := range b.ids {
		if b.errs[i] = err; err == nil {
			b.sealed[i], b.errs[i] = l.sealRecord(p, b.ids[i], b.records[i])
		}
	}
	b.records = nil
}

// sequence hands batches to Tessera together and waits until they are on the disk.
func (l *Log) sequence(batches []*batch) {
	ctx := context.Background() // what was handed over is finished, whoever stops waiting
	futures := make([][]tessera.IndexFuture, len(batches))
	for n, b := range batches {
		futures[n] = make([]tessera.IndexFuture, len(b.ids))
		for i, data := range b.sealed {
			if b.errs[i] == nil {
				futures[n][i] = l.tree.add(ctx, tessera.NewEntry(data))
			}
		}
		b.sealed = nil
	}
	for n, b := range batches {
		for i, future := range futures[n] {
			if future != nil {
				index, err := future()
				b.indexes[i], b.errs[i] = index.Index, err
			}
		}
	}
	l.mu.Lock()
	for n, b := range batches {
		if b.entered {
			l.sealing.RUnlock()
		}
		for i, id := range b.ids {
			delete(l.pending, id)
			switch {
			case b.errs[i] == nil:
				l.known.put(id, b.indexes[i])
			case futures[n][i] != nil:
				b.errs[i] = fmt.Errorf("the log could not be written: %w", b.errs[i])
				l.broken = b.errs[i]
			}
		}
		close(b.done)
	}
	l.running -= len(batches)
	l.idle.Broadcast()
	l.mu.Unlock()
}

// sealRecord makes a record's entry. One that does not fit into the log goes
// to a file first, so that no entry ever names a file that is not there.
func (l *Log) sealRecord(p *period, id keyedID, r Record) ([]byte, error) {
	h := header{kindRecord, p.Index, id}
	if headerSize+sealOverhead+innerSize+len(r.ID)+len(r.Data) <= maxEntry {
		size := headerSize + sealOverhead + innerSize + len(r.ID) + len(r.Data)
		return p.sealer.seal(h.append(make([]byte, 0, size)), h, l.now(), r), nil
	}
	h.kind = kindBody
	sealed := p.sealer.seal(nil, h, l.now(), r)
	sum := sha256.Sum256(sealed)
	path := filepath.Join(l.dir, bodyPath(sum))
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := writeDurable(path, sealed); err != nil {
		return nil, err
	}
	return bodyEntry(h, sum, uint64(len(sealed))), nil
}

// addControl appends an entry that is no record and waits for its index.
func (l *Log) addControl(ctx context.Context, data []byte) (uint64, error) {
	l.mu.Lock()
	l.running++
	l.mu.Unlock()
	sum := hexSum(data)
	err := l.own.announce(sum)
	index := tessera.Index{}
	if err == nil {
		index, err = l.tree.add(ctx, tessera.NewEntry(data))()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	l.idle.Broadcast()
	if err != nil {
		l.broken = fmt.Errorf("the log could not be written: %w", err)
		return 0, l.broken
	}
	l.own.land(sum, index.Index)
	l.known.pass(index.Index)
	return index.Index, nil
}

// confirm waits until the checkpoint covers the control entry of an index.
func (l *Log) confirm(ctx context.Context, index uint64) error {
	if err := l.awaitCheckpoint(ctx, index+1); err != nil {
		return err
	}
	return l.own.forget(index + 1)
}

// enterPeriod gives the period to seal with, which lasts until the caller's batch is in the log and
// it unlocks l.sealing. After an error nothing is locked.
func (l *Log) enterPeriod(ctx context.Context) (*period, error) {
	for {
		l.sealing.RLock()
		if p := l.period.Load(); p != nil && !p.due(l.now()) {
			return p, nil
		}
		l.sealing.RUnlock()
		if err := l.renewPeriod(ctx); err != nil {
			return nil, err
		}
	}
}

// renewPeriod begins a new period if the current one is over: the first record of a UTC day does.
func (l *Log) renewPeriod(ctx context.Context) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	if p := l.period.Load(); p != nil && !p.due(l.now()) {
		return nil
	}
	return l.startPeriod(ctx, l.config, l.configSum)
}
