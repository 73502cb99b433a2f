package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

const (
	pagesRuns     = 10_000
	pagesAlerts   = 10_000
	pagesActions  = 10_000
	pagesWaivers  = 500
	pagesEntries  = 20_000 // of the ledger
	pagesClusters = 200    // that a hub keeps beside the large one
	// pagesSpoke is how many findings each of those has.
	pagesSpoke = 500
)

// history keeps what a year of running leaves beside findings: runs, alerts, waivers and who did what.
func (d *pagesData) history(ctx context.Context, s *store.Store) error {
	begun := d.at.AddDate(-1, 0, 0)
	var shown []server.RunExperiment
	for _, c := range d.controls {
		for _, x := range c.Experiments {
			shown = append(shown, server.RunExperiment{Control: c.ID, Experiment: x.Name, Scopes: 300, Held: 4800, Tried: 4800})
		}
	}
	doc, err := json.Marshal(map[string]any{"experiments": shown})
	if err != nil {
		return err
	}
	for i := range pagesRuns {
		at := begun.Add(time.Duration(i) * 45 * time.Minute)
		run := store.Run{ID: fmt.Sprintf("run-%d", i), Planned: at, Started: at, Ended: at.Add(30 * time.Minute), Trigger: store.TriggerSchedule, State: store.RunDone,
			Danger: bailey.DangerDryRun, Probes: 18_000, Done: 18_000, Tried: 288_000, Held: 288_000, Doc: doc}
		switch mix(i) % 100 {
		case 0:
			run.Broken = 3
		case 1:
			run.State, run.Trigger, run.By, run.Error = store.RunStopped, store.TriggerPerson, "alice", "stopped by alice"
		case 2:
			run.Trigger, run.By, run.Controls = store.TriggerAPI, "bob", []string{d.controls[mix(i+1)%len(d.controls)].ID}
		}
		if err := s.PutRun(ctx, pagesCluster, at, run); err != nil {
			return err
		}
	}
	for i := range pagesAlerts {
		at := begun.Add(time.Duration(i) * 45 * time.Minute)
		o, r := d.object(i*7, 300), d.rules[mix(i)%len(d.rules)]
		kind := []store.AlertKind{store.AlertFinding, store.AlertRung, store.AlertDetection}[mix(i+3)%3]
		a := store.Alert{Key: fmt.Sprintf("%s/%s/%d", kind, r.id, i), Kind: kind, Severity: r.rule.Severity, Title: r.rule.Title, Text: r.rule.Title + " was found in " + o.Name, Object: o}
		if err := s.Raise(ctx, pagesCluster, at, a); err != nil {
			return err
		}
		if i%10 > 0 {
			if err := s.Resolve(ctx, pagesCluster, at.Add(time.Hour), a.Key); err != nil {
				return err
			}
		}
	}
	for i := range pagesActions {
		a := store.Action{Who: fmt.Sprintf("person-%d", mix(i)%40), Action: server.Acts[mix(i+1)%len(server.Acts)], Target: fmt.Sprintf("run-%d: all controls", i), Outcome: "done"}
		if i%20 == 0 {
			a.Outcome = "refused: nobody may"
		}
		if err := s.Audit(ctx, pagesCluster, begun.Add(time.Duration(i)*45*time.Minute), a); err != nil {
			return err
		}
	}
	for i := range pagesWaivers {
		o, r := d.object(i*11, 300), d.rules[mix(i)%len(d.rules)]
		w := bailey.Waiver{Rule: r.id, Namespace: o.Namespace, Name: o.Name, Reason: "legacy", Owner: "team", Expires: d.at.AddDate(0, 0, 1+i%90)}
		if err := s.AddWaiver(ctx, pagesCluster, d.at, fmt.Sprintf("waiver-%d", i), "alice", w); err != nil {
			return err
		}
	}
	return nil
}

// fleet keeps the clusters that others push to a hub.
func (d *pagesData) fleet(ctx context.Context, s *store.Store) error {
	for i := range pagesClusters {
		uid, at := fmt.Sprintf("spoke-%d", i), d.at.Add(-time.Duration(i)*time.Minute)
		if err := s.PutCluster(ctx, uid, fmt.Sprintf("spoke %03d", i), at); err != nil {
			return err
		}
		var all store.Delta
		for n := 0; n < pagesSpoke; n += pagesObject {
			o := d.object(n/pagesObject, 30)
			for k := range pagesObject {
				all.Findings = append(all.Findings, d.finding(n+k+i, o))
			}
		}
		for k, c := range d.controls {
			all.Verdicts = append(all.Verdicts, d.verdict(k+i, c, bailey.Scope{Kind: bailey.ScopeCluster}))
			for n := range 30 {
				all.Verdicts = append(all.Verdicts, d.verdict(k+n+i, c, bailey.Scope{Kind: bailey.ScopeNamespace, Object: bailey.Ref{Kind: bailey.KindNamespace, Name: fmt.Sprintf("team-%03d", n)}}))
			}
		}
		if err := s.Replace(ctx, uid, at, all); err != nil {
			return err
		}
	}
	return nil
}

// pagesLedger fills a ledger, and opens it as a server does that may not open its records.
func pagesLedger(ctx context.Context, dir string) (*server.Book, error) {
	if err := newBenchLedger(dir); err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, dir, ledger.Options{BatchSize: 4096})
	if err != nil {
		return nil, err
	}
	for i := 0; i < pagesEntries && err == nil; {
		var batch []ledger.Record
		for ; i < pagesEntries && len(batch) < 4096; i++ {
			batch = append(batch, ledger.Record{ID: fmt.Sprint("evidence/", i), Data: record(uint64(i))})
		}
		_, err = l.Append(ctx, batch...)
	}
	if closed := l.Close(ctx); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return server.OpenBook(server.BookOptions{Dir: dir, Log: pagesLog, Now: time.Now, Offline: true})
}
