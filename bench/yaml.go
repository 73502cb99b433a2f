package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey/bench/gen"
)

// repeats is how often a whole process is run; the best counts.
const repeats = 5

// benchYAML compares a scan of generated manifests with parsing the same text
// and nothing else, on the same processors.
func benchYAML(bailey string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%10s %10s %12s %12s %8s %12s\n", "objects", "YAML", "parse only", "scan", "ratio", "peak")
	for _, n := range []int{1_000, 10_000, 100_000} {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", n))
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := gen.Manifests(f, n, 1); err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		floor, err := best(repeats, func() *exec.Cmd { return again("parse", path) })
		if err != nil {
			return err
		}
		scan, err := best(repeats, func() *exec.Cmd { return exec.Command(bailey, "scan", path, "--fail-on", "none") })
		if err != nil {
			return err
		}
		fmt.Printf("%10d %10s %12s %12s %8.2f %12s\n", n, mib(info.Size()), ms(floor.wall), ms(scan.wall), float64(scan.wall)/float64(floor.wall), mib(scan.peak))
	}
	return nil
}

// parseChild parses every document of a file into nodes, on all processors.
func parseChild(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	documents := bytes.Split(data, []byte("\n---\n"))
	var next, nodes atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(documents) {
					return
				}
				var n yaml.Node
				if yaml.Unmarshal(documents[i], &n) == nil {
					nodes.Add(int64(len(n.Content)))
				}
			}
		})
	}
	wg.Wait()
	fmt.Println(nodes.Load())
	return nil
}

// benchSmall measures a scan of microservices-demo from start to end, where
// the shared data is there, and of generated manifests of the same size.
func benchSmall(bailey string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "161.yaml")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := gen.Manifests(f, 161, 1); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	targets := []string{path}
	if demo := filepath.Join("..", "shared", "manifests", "microservices-demo"); exists(demo) {
		targets = append(targets, demo)
	}
	for _, target := range targets {
		c, err := best(4*repeats, func() *exec.Cmd { return exec.Command(bailey, "scan", target, "--fail-on", "none") })
		if err != nil {
			return err
		}
		fmt.Printf("%-40s %10s wall, %s CPU, %s (the fastest peer: 140 ms, 55 MB)\n", filepath.Base(target), ms(c.wall), ms(c.cpu), mib(c.peak))
	}
	start, err := best(4*repeats, func() *exec.Cmd { return exec.Command(bailey, "--version") })
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %10s wall, %s CPU\n", "start-up alone (bailey --version)", ms(start.wall), ms(start.cpu.Round(100*time.Microsecond)))
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
