package saved

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkRead decodes generated clusters, and reports what a decoded snapshot
// holds in memory and the highest resident size of the process so far.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			text := encode(b, generated(b, n))
			b.ReportMetric(float64(len(text))/float64(n), "filebytes/object")
			for b.Loop() {
				s, err := Read(bytes.NewReader(text), Limits{})
				if err != nil {
					b.Fatal(err)
				}
				runtime.KeepAlive(s)
			}
			before := heap()
			s, err := Read(bytes.NewReader(text), Limits{})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(heap()-before)/float64(n), "heapbytes/object")
			b.ReportMetric(float64(s.Len()), "facts")
			runtime.KeepAlive(s)
		})
	}
}

// BenchmarkReadFile decodes the snapshot in the file $BAILEY_BENCH_SNAPSHOT, in
// a process that has done nothing else, for its resident size.
func BenchmarkReadFile(b *testing.B) {
	path := os.Getenv("BAILEY_BENCH_SNAPSHOT")
	if path == "" {
		b.Skip("$BAILEY_BENCH_SNAPSHOT names no snapshot")
	}
	for b.Loop() {
		if _, err := ReadFile(path); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(peakMiB(b), "peakMiB")
}

// BenchmarkWrite encodes, and leaves the largest in $BAILEY_BENCH_SNAPSHOT.
func BenchmarkWrite(b *testing.B) {
	s := generated(b, 100_000)
	path := os.Getenv("BAILEY_BENCH_SNAPSHOT")
	if path == "" {
		path = b.TempDir() + "/cluster.snap"
	}
	for b.Loop() {
		if err := WriteFile(path, s); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// peakMiB is the highest resident size of this process (Linux).
func peakMiB(b *testing.B) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc/self/status:", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmHWM in /proc/self/status")
	return 0
}
