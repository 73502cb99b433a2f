package ledger

import (
	"sync"
	"time"
)

// queue gathers batches while the disk is busy, so that all that wait are written
// together (group commit). Tessera's own queue cuts a batch by age alone: under
// load it splits the writers into ever smaller groups that never join again.
type queue struct {
	most int           // records that are enough
	age  time.Duration // how long the writers of the last group are awaited

	mu      sync.Mutex
	waiting []*batch
	records int
	closed  bool
	wake    chan struct{} // something changed; holds one
}

func newQueue(o Options) *queue {
	return &queue{most: int(o.BatchSize), age: o.BatchAge, wake: make(chan struct{}, 1)}
}

func (q *queue) put(b *batch) {
	q.mu.Lock()
	q.waiting = append(q.waiting, b)
	q.records += len(b.ids)
	q.mu.Unlock()
	q.signal()
}

// close ends run once nothing waits.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) state() (records int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.closed
}

// run hands groups of batches to flush, one after the other.
func (q *queue) run(flush func([]*batch)) {
	expect := 1
	for q.gather(expect) {
		q.mu.Lock()
		group, n := q.waiting, q.records
		q.waiting, q.records = nil, 0
		q.mu.Unlock()
		flush(group)
		// Writers that wait for an index come back at once with their next
		// record. Those of this group and those who came meanwhile are worth awaiting.
		more, _ := q.state()
		expect = min(n+more, q.most)
	}
}

// gather waits for a record, and then for as many as are expected or until
// they are late. It reports false when the queue is closed and empty.
func (q *queue) gather(expect int) bool {
	late := time.NewTimer(q.age)
	defer late.Stop()
	isLate := false
	for {
		n, closed := q.state()
		if n > 0 && (n >= expect || isLate || closed) {
			return true
		}
		if n == 0 && closed {
			return false
		}
		select {
		case <-q.wake:
		case <-late.C:
			isLate = true
		}
	}
}
