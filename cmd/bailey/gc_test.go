package main

import (
	"runtime"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{
		0: heapGrowth, freeHeap / 2: 100, freeHeap / 4: mostGrowth, freeHeap: heapGrowth, 10 * freeHeap: heapGrowth, freeHeap - 1<<20: heapGrowth,
	} {
		if got := growthFrom(live); got != want {
			t.Errorf("%d MiB live: %d %%, want %d", live>>20, got, want)
		}
	}
	if liveHeap() == 0 {
		runtime.GC()
		if liveHeap() == 0 {
			t.Error("the live heap cannot be read")
		}
	}
}

// TestAfterGC: the call comes again after each collection, not once.
func TestAfterGC(t *testing.T) {
	calls := make(chan struct{}, 100)
	afterGC(func() {
		select {
		case calls <- struct{}{}:
		default: // the test has ended
		}
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
