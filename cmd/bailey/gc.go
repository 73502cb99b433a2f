package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// freeHeap is the memory in bytes up to which nothing is collected: most
	// scans end before they reach it.
	freeHeap = 64 << 20
	// heapGrowth is, in percent, the garbage that may gather over what is in use
	// afterwards. A scan's memory is facts that stay: less than the default of 100
	// costs a little time and saves a tenth of the peak.
	heapGrowth = 70
)

// tuneGC sets the garbage collector for short runs and for large ones, unless
// the user has set it.
func tuneGC() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(freeHeap)
	first := new([16]byte) // large enough not to share its memory with others
	runtime.AddCleanup(first, func(struct{}) {
		debug.SetGCPercent(heapGrowth)
		debug.SetMemoryLimit(math.MaxInt64)
	}, struct{}{})
}
