package main

import (
	"math"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/baileyhq/bailey/internal/heap"
)

const (
	// freeHeap is the memory in bytes that the heap may fill before anything is
	// collected, and up to which it may grow again: most scans end within it.
	freeHeap = 56 << 20
	// heapGrowth is, in percent, the garbage that may gather beside what is in
	// use in larger scans, whose memory is facts that stay.
	heapGrowth = 60
	// mostGrowth bounds it for a small heap: the call after a collection comes
	// late when all processors are busy, and until then the old growth holds.
	mostGrowth = 150
)

// staying says that the process serves, and that tuneServer has set the collector.
var staying atomic.Bool

// tunedByUser reports whether the user has set the garbage collector.
func tunedByUser() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// tuneGC sets the garbage collector for short runs and for large ones, unless
// the user has set it.
func tuneGC() {
	if tunedByUser() {
		return
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(freeHeap)
	heap.AfterGC(func() bool {
		if staying.Load() {
			return false
		}
		debug.SetGCPercent(growthFrom(heap.Live()))
		debug.SetMemoryLimit(math.MaxInt64)
		return true
	})
}

// tuneServer sets it for a process that stays: growth is the garbage in percent that may
// gather beside what is in use, limit the bytes that the runtime keeps to while what is in
// use allows.
func tuneServer(growth int, limit int64) {
	if tunedByUser() {
		return
	}
	staying.Store(true)
	debug.SetGCPercent(growth)
	debug.SetMemoryLimit(limit)
}

// tuneServing sets it for a process that holds a cluster for as long as it runs.
func tuneServing() {
	if tunedByUser() {
		return
	}
	staying.Store(true)
	heap.Follow()
}

// growthFrom is the growth in percent until the next collection: what is left
// of the free heap, or the least growth for a heap that has outgrown it.
func growthFrom(live uint64) int {
	if live == 0 || live >= freeHeap {
		return heapGrowth
	}
	return min(max(heapGrowth, int((freeHeap-live)*100/live)), mostGrowth)
}
