// Package heap sets the garbage collector by what is in use. Callers leave it alone where the user
// has set GOGC or GOMEMLIMIT.
package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// growth is the garbage in percent that may gather beside what is in use, of a server: it holds
	// the facts of a cluster and makes little garbage but when it joins a report. Of largeLive bytes
	// and more it is growthLarge: what is saved counts more there, and collections are rare.
	growth, growthLarge = 15, 10
	largeLive           = 256 << 20
	// limitGrowth in percent and limitLeast in bytes bound, beside what is in use, all that the
	// runtime keeps: without a limit it gives back what a report took after minutes only.
	limitGrowth = 35
	limitLeast  = 32 << 20
)

// Follow sets the collector for a process that holds a cluster for as long as it runs: memory
// follows what is in use.
func Follow() {
	percent := growth
	debug.SetGCPercent(percent)
	AfterGC(func() bool {
		n := int64(Live())
		if n == 0 {
			return true
		}
		debug.SetMemoryLimit(n + n*limitGrowth/100 + limitLeast)
		want := growth
		if n >= largeLive {
			want = growthLarge
		}
		if want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
		return true
	})
}

// AfterGC calls the function after each collection, until it says that it is done.
func AfterGC(call func() (again bool)) {
	sentinel := new([16]byte) // large enough not to share its memory with others
	runtime.AddCleanup(sentinel, func(struct{}) {
		if call() {
			AfterGC(call)
		}
	}, struct{}{})
}

// Live is what the last collection left, in bytes; 0 before the first.
func Live() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}
