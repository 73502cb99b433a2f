package server

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// heapGrowth is the garbage in percent that may gather beside what is in use. A server holds
	// the facts of a cluster and makes little garbage but when it joins a report.
	heapGrowth = 15
	// memoryGrowth and memoryLeast bound, beside what is in use, all that the runtime keeps:
	// without a limit it gives back what a report took after minutes only.
	memoryGrowth = 35
	memoryLeast  = 32 << 20
)

// BoundMemory sets the garbage collector for a server, from now on: memory follows what is in
// use, within the share that collecting may take. The caller leaves it where the user has set
// GOGC or GOMEMLIMIT.
func BoundMemory() {
	debug.SetGCPercent(heapGrowth)
	follow := func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if live[0].Value.Kind() == metrics.KindUint64 {
			n := int64(live[0].Value.Uint64())
			debug.SetMemoryLimit(n + n*memoryGrowth/100 + memoryLeast)
		}
	}
	var again func()
	again = func() {
		sentinel := new([16]byte) // large enough not to share its memory with others
		runtime.AddCleanup(sentinel, func(struct{}) { follow(); again() }, struct{}{})
	}
	again()
}
