package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/internal/heap"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store/sqlite"
)

const (
	// serveChanges pods change, one each serveEvery, while reports are joined.
	serveChanges = 1000
	serveEvery   = 5 * time.Millisecond
	// serveIdle is how long nothing happens afterwards.
	serveIdle = 30 * time.Second
)

// serving is what serveChild measured.
type serving struct {
	Objects             int
	Ready               time.Duration
	Resident, Settled   int64
	Half, Most, Longest time.Duration
	IdleCPU             time.Duration
}

// benchServe keeps a generated cluster judged while pods of it change. Budget at 100,000
// objects: 700 MiB resident, a change judged within 100 ms (p99), 2 % of a core when idle.
func benchServe(string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%10s %10s %12s %12s %10s %10s %10s %10s\n", "objects", "ready", "resident", "afterwards", "p50", "p99", "longest", "idle")
	for _, n := range []int{1_000, 10_000, 100_000} {
		path := filepath.Join(dir, fmt.Sprintf("%d.zst", n))
		if err := saved.WriteFile(path, generate(n)); err != nil {
			return err
		}
		debug.FreeOSMemory()
		c, err := measure(again("serve", path))
		if err != nil {
			return err
		}
		var s serving
		if err := json.Unmarshal([]byte(c.out), &s); err != nil {
			return err
		}
		fmt.Printf("%10d %10s %12s %12s %10s %10s %10s %9.2f%%\n", s.Objects, ms(s.Ready), mib(s.Resident), mib(s.Settled), ms(s.Half), ms(s.Most), ms(s.Longest),
			100*float64(s.IdleCPU)/float64(serveIdle))
	}
	return nil
}

func serveChild(path string) error {
	heap.Follow()
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	history, err := sqlite.Open(context.Background(), dir)
	if err != nil {
		return err
	}
	defer history.Close()
	var mu sync.Mutex
	var took []time.Duration
	var result serving
	begin := time.Now()
	changed := make(chan error, 1)
	news := server.NewNews()
	loop := server.NewLoop(server.LoopOptions{Controls: controls.All(), Weigher: stakes.Weigher, Log: slog.New(slog.DiscardHandler),
		Took: func(d time.Duration) { mu.Lock(); took = append(took, d); mu.Unlock() },
		Source: func(ctx context.Context, f kube.Follower) error {
			s, err := saved.ReadFile(path)
			if err != nil {
				return err
			}
			pods := s.List(bailey.KindPod, "")
			f.Whole(s)
			result.Objects = s.Len()
			s = nil
			kept := func(item server.Item) bool { return item.Kind == server.NewsKept }
			for seen := uint64(0); ; {
				items, _, more := news.After(seen)
				if slices.ContainsFunc(items, kept) {
					break // the first report is in the store
				}
				<-more
			}
			result.Ready, result.Resident = time.Since(begin), resident()
			for i := range serveChanges {
				fresh := *pods[i*len(pods)/serveChanges%len(pods)]
				fresh.UID += fmt.Sprint("-", i)
				f.Changed([]*bailey.Fact{&fresh}, nil)
				time.Sleep(serveEvery)
			}
			changed <- nil
			<-ctx.Done()
			return ctx.Err()
		}}, news)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	recorder := &server.Recorder{Store: history, Loop: loop, News: news, Log: log, Now: time.Now}
	recorded := make(chan error, 1)
	go func() { recorded <- recorder.Run(ctx) }()
	defer func() { cancel(); <-recorded }()
	select {
	case <-changed:
	case err := <-ended:
		return err
	}
	time.Sleep(serveIdle) // the report of the last changes, and its rest
	result.Settled = resident()
	cpu := cpuTime()
	time.Sleep(serveIdle)
	result.IdleCPU = cpuTime() - cpu
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(took)
	result.Half, result.Most, result.Longest = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
	return json.NewEncoder(os.Stdout).Encode(result)
}
