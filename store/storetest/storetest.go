// Package storetest is the one suite that every database of the store passes.
package storetest

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
)

// Place is where one empty database is.
type Place struct {
	// Open opens the store there; again too, beside others that are open.
	Open func(ctx context.Context) (*store.Store, error)
	// Explain is a connection of the database's own, and what is written before a query to
	// have its plan told.
	DB      *sql.DB
	Explain string
	// Scans tells whether a line of a plan reads a whole table (or a whole index) of this name.
	Scans func(line, table string) bool
	// Restore makes a new place of a backup.
	Restore func(backup string) (*store.Store, error)
	// Argument names the place to a child process.
	Argument string
}

// Run runs the suite; place makes an empty place for each test of it.
func Run(t *testing.T, place func(t *testing.T) Place) {
	tests := []struct {
		name string
		run  func(t *testing.T, p Place)
	}{
		{"Clusters", testClusters},
		{"Findings", testFindings},
		{"Property", testProperty},
		{"Alone", testAlone},
		{"Paging", testPaging},
		{"Access", testAccess},
		{"Hostile", testHostile},
		{"Clock", testClock},
		{"Verdicts", testVerdicts},
		{"Evidence", testEvidence},
		{"NewestEvidence", testNewestEvidence},
		{"EvidenceRuns", testEvidenceRuns},
		{"NewestRuns", testNewestRuns},
		{"Runs", testRuns},
		{"Alerts", testAlerts},
		{"Waivers", testWaivers},
		{"WaiverPages", testWaiverPages},
		{"Tables", testTables},
		{"Guards", testGuards},
		{"Counts", testCounts},
		{"Accepted", testAccepted},
		{"Ranking", testRanking},
		{"Audit", testAudit},
		{"Changes", testChanges},
		{"Concurrency", testConcurrency},
		{"Replace", testReplace},
		{"Large", testLarge},
		{"Fixes", testFixes},
		{"Terms", testTerms},
		{"Passed", testPassed},
		{"Pushes", testPushes},
		{"AlertStates", testAlertStates},
		{"ManyAlerts", testManyAlerts},
		{"Sessions", testSessions},
		{"SessionsCopied", testSessionsCopied},
		{"Since", testSince},
		{"Object", testObject},
		{"Search", testSearch},
		{"Prune", testPrune},
		{"Backup", testBackup},
		{"BackupWhileWriting", testBackupWhileWriting},
		{"AsItIs", testAsItIs},
		{"Plans", testPlans},
		{"Killed", testKilled},
		{"Versions", testVersions},
		{"Upgrade", testUpgrade},
		{"Downgrade", testDowngrade},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, place(t)) })
	}
}

const (
	uid   = "0b0c7f5e-0000-4000-8000-000000000001"
	other = "0b0c7f5e-0000-4000-8000-000000000002"
)

// begin is the time at which the tests' clocks start.
var begin = time.Date(2026, 11, 1, 12, 0, 0, 123456789, time.UTC)

func at(minutes int) time.Time { return begin.Add(time.Duration(minutes) * time.Minute) }

// bench is a store with two clusters.
type bench struct {
	*testing.T
	s   *store.Store
	ctx context.Context
}

func open(t *testing.T, p Place) *bench {
	t.Helper()
	s, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{t, s, t.Context()}
	b.ok(s.PutCluster(b.ctx, uid, "production", at(0)))
	b.ok(s.PutCluster(b.ctx, other, "staging", at(0)))
	return b
}

func (b *bench) ok(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) apply(minutes int, d store.Delta) {
	b.Helper()
	b.ok(b.s.Apply(b.ctx, uid, at(minutes), d))
}

func (b *bench) check() {
	b.Helper()
	b.ok(b.s.Check(b.ctx, uid))
	b.ok(b.s.Check(b.ctx, other))
}

func (b *bench) findings(q store.FindingQuery) store.FindingPage {
	b.Helper()
	if q.Cluster == "" {
		q.Cluster = uid
	}
	page, err := b.s.Findings(b.ctx, q)
	b.ok(err)
	return page
}

// seq is the number of the cluster's last change.
func (b *bench) seq() int64 {
	b.Helper()
	c, err := b.s.Cluster(b.ctx, uid)
	b.ok(err)
	return c.Seq
}

func workload(namespace, name string) bailey.Ref {
	return bailey.Ref{Kind: bailey.KindDeployment, Namespace: namespace, Name: name}
}

// finding makes a finding with an ID as Bailey makes it.
func finding(rule string, severity bailey.Severity, object bailey.Ref, message string) bailey.Finding {
	control := rule
	for i := len(rule) - 1; i > 0; i-- {
		if rule[i] == '/' {
			control = rule[:i]
			break
		}
	}
	return bailey.Finding{ID: bailey.FindingID(rule, object, ""), Control: control, Rule: rule, Severity: severity, Base: severity,
		Object: object, APIVersion: "apps/v1", Message: message, Source: bailey.Source{}}
}
