package server

import (
	"context"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
)

// Report gives the newest report and its version; nil and 0 before the first, and nil once it
// was released.
func (l *Loop) Report() (*bailey.Report, uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.report, l.version
}

// attend changes the number of those who keep each report and then release it.
func (l *Loop) attend(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepers += n
	l.waiting = min(l.waiting, l.keepers) // who ended keeps nothing any more
}

// Release tells that the report of this version was kept. When all who keep reports have, it is
// let go: its memory is worth more than the time it takes to join it again.
func (l *Loop) Release(version uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = true
	if l.version != version {
		return
	}
	if l.waiting--; l.waiting <= 0 {
		l.report = nil
	}
}

// holdMost is how long reports are held back at most: a database that hangs is no reason to tell nobody else.
const holdMost = 2 * time.Minute

// hold has no report made until it is let go: whoever writes one would let the next wait, which is as large and would be old by then.
func (l *Loop) hold() (letGo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holding++
	begun := time.Now()
	once := sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.holding--; l.holding == 0 {
			select {
			case l.free <- time.Since(begun):
			default:
			}
		}
	})
	late := time.AfterFunc(holdMost, once)
	return func() { late.Stop(); once() }
}

// held tells that no report is to be made now.
func (l *Loop) held() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.holding > 0
}

// Kept tells whether a report was kept yet, be it an old one.
func (l *Loop) Kept() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.kept
}

// Join gives a report of what stands now, which is joined anew if none is there. Nil before
// the first, and when ctx ends.
func (l *Loop) Join(ctx context.Context) *bailey.Report {
	l.joining.Lock() // one at a time: each is large
	defer l.joining.Unlock()
	if r, _ := l.Report(); r != nil {
		return r
	}
	var join func() *bailey.Report
	l.do(ctx, func() {
		if l.session != nil && l.accepted != nil {
			join = l.session.Freeze()
		}
	})
	if ctx.Err() != nil || join == nil {
		return nil
	}
	return join()
}
