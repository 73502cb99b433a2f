package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/bench/gen"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/object"
	"github.com/baileyhq/bailey/collect/saved"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
)

// at is the moment of the generated snapshots.
var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// generate makes a snapshot of a realistic cluster of n objects.
func generate(n int) *bailey.Snapshot {
	b := bailey.NewBuilder(bailey.Meta{At: at, Medium: "cluster", Version: bailey.LatestVersion, ClusterUID: "bench"})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	for o := range gen.Cluster(n, 1) {
		apiVersion, kind := o.GetObjectKind().GroupVersionKind().ToAPIVersionAndKind()
		if object.New(apiVersion, kind) == nil {
			continue // a Lease: no collector reads it
		}
		f := object.Fact(o, apiVersion, kind, bailey.Source{})
		b.Saw(f.Kind, "")
		b.Add(f)
	}
	return b.Snapshot()
}

// judgement is what judgeChild measured.
type judgement struct {
	Objects, Findings, Verdicts int
	Decode, Judge               time.Duration
	DecodeCPU, JudgeCPU         time.Duration
	Peak                        int64
}

// benchJudge judges saved snapshots by all rules.
func benchJudge(string) error {
	dir, err := os.MkdirTemp("", "bailey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%10s %10s %12s %12s %14s %14s %10s %10s\n", "objects", "file", "decode", "judge", "CPU per core", "µs per object", "peak", "findings")
	for _, n := range []int{1_000, 10_000, 100_000} {
		path := filepath.Join(dir, fmt.Sprintf("%d.zst", n))
		if err := saved.WriteFile(path, generate(n)); err != nil {
			return err
		}
		debug.FreeOSMemory()
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		c, err := measure(again("judge", path))
		if err != nil {
			return err
		}
		var j judgement
		if err := json.Unmarshal([]byte(c.out), &j); err != nil {
			return err
		}
		fmt.Printf("%10d %10s %12s %12s %14s %14.1f %10s %10d\n", j.Objects, mib(info.Size()), ms(j.Decode), ms(j.Judge),
			ms(j.JudgeCPU/time.Duration(runtime.NumCPU())), float64(j.JudgeCPU)/float64(j.Objects)/1e3, mib(c.peak), j.Findings)
	}
	return nil
}

func judgeChild(path string) error {
	start, cpu := time.Now(), cpuTime()
	s, err := saved.ReadFile(path)
	if err != nil {
		return err
	}
	j := judgement{Objects: s.Len(), Decode: time.Since(start), DecodeCPU: cpuTime() - cpu}
	start, cpu = time.Now(), cpuTime()
	r, err := check.Judge(context.Background(), s, controls.All(), check.Options{Weigher: stakes.Weigher})
	if err != nil {
		return err
	}
	j.Judge, j.JudgeCPU = time.Since(start), cpuTime()-cpu
	j.Findings, j.Verdicts = len(r.Findings), len(r.Verdicts)
	return json.NewEncoder(os.Stdout).Encode(j)
}

// benchChange judges single changed pods again in clusters of growing size.
func benchChange(string) error {
	fmt.Printf("%10s %16s %16s %14s\n", "objects", "changed pod", "changed SA", "checked again")
	for _, n := range []int{1_000, 10_000, 100_000} {
		s := generate(n)
		session, err := check.NewSession(context.Background(), s, controls.All(), check.Options{Weigher: stakes.Weigher})
		if err != nil {
			return err
		}
		pods, _ := change(session, s.List(bailey.KindPod, ""))
		accounts, again := change(session, s.List(bailey.KindServiceAccount, ""))
		fmt.Printf("%10d %16s %16s %14.1f\n", s.Len(), pods, accounts, again)
	}
	return nil
}

// change updates up to 500 facts, spread over the list, and gives the mean
// time of one update and how many objects it checked again.
func change(session *check.Session, facts []*bailey.Fact) (time.Duration, float64) {
	step := max(1, len(facts)/500)
	changed, again := 0, 0
	start := time.Now()
	for i := 0; i < len(facts); i += step {
		fresh := *facts[i]
		again += len(session.Update([]*bailey.Fact{&fresh}, nil))
		changed++
	}
	if changed == 0 {
		return 0, 0
	}
	return (time.Since(start) / time.Duration(changed)).Round(100 * time.Nanosecond), float64(again) / float64(changed)
}
