package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/go-logr/logr"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"

	"github.com/baileyhq/bailey/ledger"
)

const (
	ledgerRecord = 512             // bytes of JSON in a record
	ledgerTime   = 3 * time.Second // of each measurement of appends
	ledgerRounds = 3               // plain and ours take turns; the best of each counts
)

// benchLedger compares the ledger with what it stands on: durable appends with the
// disk's own rate and with plain Tessera, verification with hashing.
func benchLedger(string) error {
	klog.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "bailey-bench-ledger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	rate, err := fsyncRate(dir)
	if err != nil {
		return err
	}
	fmt.Printf("  disk: %.0f writes of 4 KiB with fsync a second\n", rate)
	fmt.Printf("  durable appends a second, records of %d bytes, best of %d\n", ledgerRecord, ledgerRounds)
	fmt.Printf("  %8s %14s %10s %8s\n", "writers", "plain Tessera", "ledger", "ratio")
	for _, writers := range []int{1, 16, 256} {
		plain, ours := 0.0, 0.0
		for round := range ledgerRounds {
			p, err := plainAppends(filepath.Join(dir, fmt.Sprintf("plain-%d-%d", writers, round)), writers)
			if err != nil {
				return err
			}
			o, err := ledgerAppends(filepath.Join(dir, fmt.Sprintf("ledger-%d-%d", writers, round)), writers)
			if err != nil {
				return err
			}
			plain, ours = max(plain, p), max(ours, o)
		}
		fmt.Printf("  %8d %14.0f %10.0f %8.2f\n", writers, plain, ours, ours/plain)
	}
	fmt.Printf("  verification, beside reading the same entries and hashing each, with %d processors\n", runtime.NumCPU())
	fmt.Printf("  %9s %12s %12s %8s %14s %10s\n", "records", "hashing", "verify", "ratio", "processor ratio", "heap")
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		if err := benchVerify(filepath.Join(dir, fmt.Sprint("verify-", n)), n); err != nil {
			return err
		}
	}
	return nil
}

// fsyncRate is how often a second the disk makes 4 KiB durable, one after the other.
func fsyncRate(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	start, n := time.Now(), 0
	for ; time.Since(start) < ledgerTime; n++ {
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// load lets writers append, each waiting for its index, and gives their rate.
func load(writers int, appendOne func(n uint64) error) (float64, error) {
	var wait sync.WaitGroup
	var next, done atomic.Uint64
	errs := make([]error, writers)
	start := time.Now()
	for w := range writers {
		wait.Go(func() {
			for time.Since(start) < ledgerTime && errs[w] == nil {
				if errs[w] = appendOne(next.Add(1)); errs[w] == nil {
					done.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), errors.Join(errs...)
}

// record is a JSON value of the size that is measured.
func record(n uint64) []byte {
	data := make([]byte, 0, ledgerRecord)
	data = fmt.Appendf(data, `{"n":%d,"x":"`, n)
	var noise [16]byte
	binary.BigEndian.PutUint64(noise[:], n)
	for len(data) < ledgerRecord-2-32 {
		data = hex.AppendEncode(data, noise[:])
	}
	return append(data, `"}`...)
}

// plainAppends is Tessera alone, with the batches that the ledger has.
func plainAppends(dir string, writers int) (float64, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench")
	if err != nil {
		return 0, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return 0, err
	}
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(signer).WithCheckpointInterval(100*time.Millisecond).WithCheckpointRepublishInterval(0).
		WithBatching(256, 5*time.Millisecond))
	if err != nil {
		return 0, err
	}
	rate, err := load(writers, func(n uint64) error {
		_, err := appender.Add(ctx, tessera.NewEntry(record(n)))()
		return err
	})
	return rate, errors.Join(err, shutdown(ctx))
}

func newBenchLedger(dir string) error {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return err
	}
	_, err = ledger.Init(context.Background(), dir, ledger.InitOptions{Recipients: []string{id.Recipient().String()}})
	return err
}

func ledgerAppends(dir string, writers int) (float64, error) {
	if err := newBenchLedger(dir); err != nil {
		return 0, err
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, dir, ledger.Options{})
	if err != nil {
		return 0, err
	}
	rate, err := load(writers, func(n uint64) error {
		_, err := l.Append(ctx, ledger.Record{ID: fmt.Sprint(n), Data: record(n)})
		return err
	})
	return rate, errors.Join(err, l.Close(ctx))
}

// benchVerify fills a ledger and verifies it.
func benchVerify(dir string, n int) error {
	if err := newBenchLedger(dir); err != nil {
		return err
	}
	ctx := context.Background()
	l, err := ledger.Open(ctx, dir, ledger.Options{BatchSize: 4096})
	if err != nil {
		return err
	}
	for i := 0; i < n; {
		var batch []ledger.Record
		for ; i < n && len(batch) < 4096; i++ {
			batch = append(batch, ledger.Record{ID: fmt.Sprint(i), Data: json.RawMessage(record(uint64(i)))})
		}
		if _, err := l.Append(ctx, batch...); err != nil {
			return errors.Join(err, l.Close(ctx))
		}
	}
	if err := l.Close(ctx); err != nil {
		return err
	}
	var hashed, verified timed
	var heap uint64
	for range ledgerRounds {
		if err := hashed.run(func() error { return hashEntries(os.DirFS(filepath.Join(dir, "log", "tile", "entries"))) }); err != nil {
			return err
		}
		if err := verified.run(func() error {
			report, err := ledger.Verify(ctx, os.DirFS(dir), ledger.VerifyOptions{})
			if err == nil && (!report.Intact() || report.Records != uint64(n)) {
				err = fmt.Errorf("verification found %d records and %v", report.Records, report.Problems)
			}
			return err
		}); err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = max(heap, m.HeapSys)
	}
	fmt.Printf("  %9d %12s %12s %8.2f %14.2f %10s\n", n, ms(hashed.wall), ms(verified.wall),
		float64(verified.wall)/float64(hashed.wall), float64(verified.cpu)/float64(hashed.cpu), mib(int64(heap)))
	return nil
}

// timed is the least time that something took.
type timed struct{ wall, cpu time.Duration }

func (t *timed) run(do func() error) error {
	runtime.GC()
	start, used := time.Now(), cpuTime()
	err := do()
	wall, cpu := time.Since(start), cpuTime()-used
	if t.wall == 0 || wall < t.wall {
		t.wall = wall
	}
	if t.cpu == 0 || cpu < t.cpu {
		t.cpu = cpu
	}
	return err
}

// hashEntries reads every full bundle and hashes its entries, and does nothing else.
func hashEntries(bundles fs.FS) error {
	names := make(chan string)
	var wait sync.WaitGroup
	errs := make([]error, runtime.NumCPU())
	for w := range errs {
		wait.Go(func() {
			for name := range names {
				data, err := fs.ReadFile(bundles, name)
				errs[w] = errors.Join(errs[w], err)
				for len(data) >= 2 {
					size := int(binary.BigEndian.Uint16(data))
					_ = sha256.Sum256(data[1 : 2+size])
					data = data[2+size:]
				}
			}
		})
	}
	err := fs.WalkDir(bundles, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && filepath.Ext(name) == ".p" {
			return fs.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			names <- name
		}
		return err
	})
	close(names)
	wait.Wait()
	return errors.Join(append(errs, err)...)
}
