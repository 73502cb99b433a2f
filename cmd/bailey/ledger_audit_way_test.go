//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// worker makes requests until it is stopped, and does not mind when they fail.
type worker struct {
	made   atomic.Int64
	cancel context.CancelFunc
	done   chan struct{}
}

// work begins making requests; do is of an API server, as [devcluster.Cluster.Do].
func work(t *testing.T, do func(ctx context.Context, method, path string, in, out any) error) *worker {
	ctx, cancel := context.WithCancel(t.Context())
	w := &worker{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			name := "c" + strings.ToLower(rand.Text())
			once, cancel := context.WithTimeout(ctx, 2*time.Second)
			_ = do(once, http.MethodPost, "/api/v1/namespaces/default/configmaps", map[string]any{
				"metadata": map[string]any{"name": name, "annotations": map[string]any{"n": strings.Repeat("x", int(w.made.Load()*37%2000))}}}, nil)
			if do(once, http.MethodDelete, "/api/v1/namespaces/default/configmaps/"+name, nil, nil) == nil {
				w.made.Add(1)
			}
			cancel()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return w
}

// goes waits until so many more requests were made.
func (w *worker) goes(t *testing.T, more int64) {
	t.Helper()
	want := w.made.Load() + more
	for end := time.Now().Add(time.Minute); w.made.Load() < want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests were made in a minute, want %d", w.made.Load(), want)
		}
	}
}

func (w *worker) stop() { w.cancel(); <-w.done }

// way is what lies between the API server and the sink.
type way struct {
	addr, to string
	cut      atomic.Bool
	delay    atomic.Int64
}

func newWay(t *testing.T) *way {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{addr: l.Addr().String(), to: free.Addr().String()}
	_ = free.Close()
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return w
}

// carry copies both ways, slowly if so told, until the way is cut.
func (w *way) carry(from net.Conn) {
	defer from.Close()
	if w.cut.Load() {
		return
	}
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{}, 2)
	pump := func(dst, src net.Conn) {
		defer func() { done <- struct{}{} }()
		buf := make([]byte, 64<<10)
		for {
			_ = src.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			n, err := src.Read(buf)
			if w.cut.Load() {
				return
			}
			if n > 0 {
				time.Sleep(time.Duration(w.delay.Load()))
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}
	go pump(to, from)
	go pump(from, to)
	<-done
}

// smallDisk mounts a small file system for the ledger; without the right to, it
// gives the folder itself.
func smallDisk(t *testing.T, dir string) string {
	t.Helper()
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64m,mode=0700"); err != nil {
		t.Logf("the disk is not filled: no small one can be mounted: %v", err)
		return dir
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	return disk
}

// fill writes until the disk is full.
func fill(t *testing.T, disk string) (release func()) {
	t.Helper()
	path := filepath.Join(disk, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk was to be full: %v", err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
