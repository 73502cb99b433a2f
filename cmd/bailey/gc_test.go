package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/baileyhq/bailey/internal/heap"
)

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{
		0: heapGrowth, freeHeap / 2: 100, freeHeap / 4: mostGrowth, freeHeap: heapGrowth, 10 * freeHeap: heapGrowth, freeHeap - 1<<20: heapGrowth,
	} {
		if got := growthFrom(live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d", live>>20, got, want)
		}
	}
	if heap.Live() == 0 {
		runtime.GC()
		if heap.Live() == 0 {
			t.Error("the live heap cannot be read")
		}
	}
}

// TestAfterGC: the call comes again after each collection, not once.
func TestAfterGC(t *testing.T) { threeCollections(t) }

// threeCollections returns when three have been answered.
func threeCollections(t *testing.T) {
	t.Helper()
	calls := make(chan struct{}, 100)
	heap.AfterGC(func() bool {
		select {
		case calls <- struct{}{}:
		default: // the test has ended
		}
		return t.Context().Err() == nil
	})
	for range 3 {
		runtime.GC()
		select {
		case <-calls:
		case <-time.After(10 * time.Second):
			t.Fatal("no call after a collection")
		}
		time.Sleep(10 * time.Millisecond) // the next sentinel is made after the call
	}
}

// TestServerKeepsItsLimit: what is set for a server stands after collections, which the
// settings for scans answer by taking any limit away.
func TestServerKeepsItsLimit(t *testing.T) {
	if tunedByUser() {
		t.Skip("GOGC or GOMEMLIMIT is set")
	}
	growth, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	t.Cleanup(func() {
		staying.Store(false)
		debug.SetGCPercent(growth)
		debug.SetMemoryLimit(limit)
	})
	tuneGC()
	tuneServer(40, 160<<20)
	threeCollections(t)
	if got := debug.SetMemoryLimit(-1); got != 160<<20 {
		t.Errorf("the limit after collections: %d", got)
	}
	if got := debug.SetGCPercent(40); got != 40 {
		t.Errorf("the growth after collections: %d", got)
	}
}
