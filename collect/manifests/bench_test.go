package manifests

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey/bench/gen"
)

// plainParse only parses: the documents of a file into nodes, on all cores.
func plainParse(data []byte) int {
	work := make(chan []byte, 64)
	var total int
	var lock sync.Mutex
	var parsers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		parsers.Go(func() {
			parsed := 0
			for document := range work {
				var n yaml.Node
				if yaml.Unmarshal(document, &n) == nil && n.Kind != 0 {
					parsed++
				}
			}
			lock.Lock()
			total += parsed
			lock.Unlock()
		})
	}
	for _, document := range bytes.Split(data, []byte("\n---\n")) {
		work <- document
	}
	close(work)
	parsers.Wait()
	return total
}

// BenchmarkCollect reports how long collecting generated manifests takes, as a
// multiple of what only parsing the same YAML on the same cores takes.
func BenchmarkCollect(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var data bytes.Buffer
			if err := gen.Manifests(&data, n, 1); err != nil {
				b.Fatal(err)
			}
			path := filepath.Join(b.TempDir(), "all.yaml")
			if err := os.WriteFile(path, data.Bytes(), 0o600); err != nil {
				b.Fatal(err)
			}
			var collecting, parsing, collectingCPU, parsingCPU []time.Duration
			for b.Loop() {
				start, startCPU := time.Now(), cpuTime()
				if parsed := plainParse(data.Bytes()); parsed != n {
					b.Fatalf("%d documents parsed, want %d", parsed, n)
				}
				parsing, parsingCPU = append(parsing, time.Since(start)), append(parsingCPU, cpuTime()-startCPU)
				start, startCPU = time.Now(), cpuTime()
				s, err := Collect(context.Background(), []string{path}, Options{})
				if err != nil || s.Len() != n {
					b.Fatalf("%d facts, want %d (%v)", s.Len(), n, err)
				}
				collecting, collectingCPU = append(collecting, time.Since(start)), append(collectingCPU, cpuTime()-startCPU)
			}
			c, p := median(collecting), median(parsing)
			b.ReportMetric(float64(c)/float64(p), "collect/parse")
			b.ReportMetric(float64(median(collectingCPU))/float64(median(parsingCPU)), "collect/parse-cpu")
			b.ReportMetric(float64(c.Milliseconds()), "ms/collect")
			b.ReportMetric(float64(p.Milliseconds()), "ms/parse")
		})
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// cpuTime is what the process has used, which other work on the machine
// disturbs less than the time that passes.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
