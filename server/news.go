package server

import (
	"sync"

	"github.com/baileyhq/bailey"
)

// The kinds of news.
const (
	NewsObject = "object" // Judged
	NewsReport = "report" // Published
	NewsKept   = "kept"   // Published: pages show it from now on
	NewsSight  = "sight"  // Sight
	NewsRun    = "run"    // Run, as it stands now
	NewsAlert  = "alert"  // Alert
	NewsGuards = "guards" // nothing but that something is other than before
)

// Item is one piece of news.
type Item struct {
	// Number counts up from 1, without gaps, for as long as the process lives.
	Number uint64
	Kind   string
	// Namespace is whose news it is; empty for what is the cluster's.
	Namespace string
	Data      any
}

// Judged says what an object was found to be.
type Judged struct {
	Object   bailey.Ref      `json:"object"`
	Findings int             `json:"findings"`
	Worst    bailey.Severity `json:"worst"`
	Gone     bool            `json:"gone,omitempty"`
}

// Published says that there is a new report.
type Published struct {
	Version uint64 `json:"version"`
	// Findings counts those of the cluster, for who sees all of it.
	Findings int `json:"findings,omitempty"`
}

// within is what of the news is theirs to know who see some namespaces only.
func (i *Item) within(sees Namespaces) any {
	switch data := i.Data.(type) {
	case Published:
		if !sees.All {
			data.Findings = 0
		}
		return data
	case Sight:
		return data.within(sees)
	}
	return i.Data
}

// newsKept is how many pieces of news a reader may be behind before it must begin anew.
const newsKept = 4096

// News hands what happens to whoever listens. A reader that is slow misses what is older
// than newsKept pieces, and is told so; it never holds anybody up.
type News struct {
	process string
	mu      sync.Mutex
	items   []Item // a ring: item n is at n % newsKept
	last    uint64
	wake    chan struct{} // closed when something is told
}

// NewNews makes news without readers.
func NewNews() *News {
	return &News{process: newSecret()[:8], items: make([]Item, newsKept), wake: make(chan struct{})}
}

// Process is a word that no other process has: numbers of two are not to be compared.
func (n *News) Process() string { return n.process }

// Tell adds items and numbers them.
func (n *News) Tell(items ...Item) {
	if len(items) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, item := range items {
		n.last++
		item.Number = n.last
		n.items[n.last%newsKept] = item
	}
	close(n.wake)
	n.wake = make(chan struct{})
}

// Last is the number of the newest item; 0 if there is none.
func (n *News) Last() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

// After gives the items behind a number, whether some between are lost, and a channel that
// is closed once there are more.
func (n *News) After(number uint64) (items []Item, missed bool, more <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if number > n.last { // of another process
		number, missed = n.last, true
	}
	if n.last-number > newsKept {
		number, missed = n.last-newsKept, true
	}
	for i := number + 1; i <= n.last; i++ {
		items = append(items, n.items[i%newsKept])
	}
	return items, missed, n.wake
}
