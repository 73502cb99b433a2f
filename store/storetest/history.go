package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/internal/limits"
	"github.com/google/go-cmp/cmp"
)

func testSince(t *testing.T, p Place) {
	b := open(t, p)
	f := finding("a/b/c", bailey.SeverityHigh, workload("shop", "web"), "m")
	g := finding("a/b/d", bailey.SeverityLow, workload("bank", "vault"), "m")
	v := func(r bailey.Rung) bailey.Verdict {
		return bailey.Verdict{Control: "a/b", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: f.Object}, Rung: r}
	}
	b.apply(1, store.Delta{Findings: []bailey.Finding{f}, Verdicts: []bailey.Verdict{v(bailey.RungGap)}})
	b.apply(10, store.Delta{Findings: []bailey.Finding{g}, Judged: []bailey.Ref{f.Object}, Verdicts: []bailey.Verdict{v(bailey.RungSound)}})
	b.apply(20, store.Delta{Findings: []bailey.Finding{f}, Verdicts: []bailey.Verdict{v(bailey.RungGap)}})
	b.ok(b.s.Raise(b.ctx, uid, at(21), store.Alert{Key: "k", Kind: store.AlertRung, Object: f.Object}))
	b.ok(b.s.Raise(b.ctx, uid, at(22), store.Alert{Key: "k", Kind: store.AlertRung, Object: f.Object}))
	for _, c := range []struct {
		minute int
		access store.Access
		want   store.Since
	}{
		{0, store.Everything(), store.Since{Opened: map[bailey.Severity]int{4: 2, 2: 1}, Gone: map[bailey.Severity]int{4: 1}, Better: 1, Worse: 1, Alerts: 1}},
		{10, store.Everything(), store.Since{Opened: map[bailey.Severity]int{4: 1, 2: 1}, Gone: map[bailey.Severity]int{4: 1}, Better: 1, Worse: 1, Alerts: 1}},
		{11, store.Everything(), store.Since{Opened: map[bailey.Severity]int{4: 1}, Gone: map[bailey.Severity]int{}, Worse: 1, Alerts: 1}},
		{23, store.Everything(), store.Since{Opened: map[bailey.Severity]int{}, Gone: map[bailey.Severity]int{}}},
		{0, store.Only("bank"), store.Since{Opened: map[bailey.Severity]int{2: 1}, Gone: map[bailey.Severity]int{}}},
		{0, store.Access{}, store.Since{Opened: map[bailey.Severity]int{}, Gone: map[bailey.Severity]int{}}},
	} {
		got, err := b.s.Since(b.ctx, c.access, uid, at(c.minute))
		b.ok(err)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("since minute %d: %s", c.minute, diff)
		}
	}
}

func testObject(t *testing.T, p Place) {
	b := open(t, p)
	web := workload("shop", "web")
	own := finding("a/b/c", bailey.SeverityLow, web, "m")
	caused := finding("a/b/d", bailey.SeverityHigh, bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web-1"}, "m")
	caused.Cause = web
	gone := finding("a/b/e", bailey.SeverityCritical, web, "m")
	scope := bailey.Scope{Kind: bailey.ScopeWorkload, Object: web}
	b.apply(1, store.Delta{Findings: []bailey.Finding{own, gone}})
	b.apply(2, store.Delta{Findings: []bailey.Finding{own, caused, finding("a/b/c", bailey.SeverityLow, workload("shop", "web-2"), "m")},
		Verdicts: []bailey.Verdict{{Control: "a/b", Scope: scope, Rung: bailey.RungGap}},
		Evidence: []store.Evidence{{Evidence: bailey.Evidence{ID: "e", Control: "a/b", Scope: scope}}},
		Guards:   []store.Guard{{Control: "a/b", Name: "g", Scope: scope}}})
	b.ok(b.s.Raise(b.ctx, uid, at(3), store.Alert{Key: "k", Kind: store.AlertDetection, Object: web}))
	for _, access := range []store.Access{store.Everything(), store.Only("shop")} {
		o, err := b.s.Object(b.ctx, access, uid, web)
		b.ok(err)
		var ids []string
		for _, f := range o.Findings {
			ids = append(ids, f.ID)
		}
		if want := []string{caused.ID, own.ID, gone.ID}; !slices.Equal(ids, want) {
			t.Errorf("findings %v, want %v", ids, want)
		}
		if got := [...]int{len(o.Verdicts), len(o.Evidence), len(o.Alerts), len(o.Rungs), len(o.Guards)}; got != [...]int{1, 1, 1, 1, 1} || o.More {
			t.Errorf("%v %v", got, o.More)
		}
	}
	for what, try := range map[string]struct {
		access store.Access
		ref    bailey.Ref
	}{"another's": {store.Only("bank"), web}, "nobody's": {store.Access{}, web}, "an unknown one": {store.Everything(), workload("shop", "none")}} {
		if _, err := b.s.Object(b.ctx, try.access, uid, try.ref); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if lacking, err := b.s.Lacks(b.ctx, try.access, uid, []bailey.Ref{try.ref}); err != nil || !lacking[try.ref] {
			t.Errorf("%s is there: %v", what, err)
		}
	}
	pod := caused.Object
	lacking, err := b.s.Lacks(b.ctx, store.Only("shop"), uid, []bailey.Ref{web, pod, workload("shop", "web-2"), workload("shop", "none")})
	if b.ok(err); len(lacking) != 1 || !lacking[workload("shop", "none")] {
		t.Errorf("lacking are %v", lacking)
	}
	refs := []bailey.Ref{web, web}
	for i := range 120 {
		refs = append(refs, workload("shop", fmt.Sprint("none-", i)))
	}
	lacking, err = b.s.Lacks(b.ctx, store.Everything(), uid, append(refs, pod, refs[2]))
	if b.ok(err); len(lacking) != 120 || lacking[web] || lacking[pod] {
		t.Errorf("of many are lacking %v", lacking)
	}
}

func testSearch(t *testing.T, p Place) {
	b := open(t, p)
	web := workload("shop", "payment-api")
	f := finding("compute/pod-security/privileged", bailey.SeverityHigh, web, "container web is privileged")
	quiet := workload("bank", "payment-db")
	b.apply(1, store.Delta{Findings: []bailey.Finding{f},
		Verdicts: []bailey.Verdict{{Control: "network/policy", Scope: bailey.Scope{Kind: bailey.ScopeWorkload, Object: quiet}, Rung: bailey.RungSound}}})
	for _, c := range []struct {
		text   string
		access store.Access
		want   store.Results
	}{
		{"payment", store.Everything(), store.Results{Objects: []bailey.Ref{web, quiet}}},
		{"payment", store.Only("bank"), store.Results{Objects: []bailey.Ref{quiet}}},
		{"PRIV", store.Everything(), store.Results{Objects: []bailey.Ref{web}, Rules: []string{f.Rule}}},
		{"pod-sec", store.Only("shop"), store.Results{Objects: []bailey.Ref{web}, Controls: []string{f.Control}, Rules: []string{f.Rule}}},
		{"pod-sec", store.Only("bank"), store.Results{}},
		{" % ", store.Everything(), store.Results{}},
	} {
		got, err := b.s.Search(b.ctx, c.access, uid, c.text, 10)
		b.ok(err)
		slices.SortFunc(got.Objects, func(a, b bailey.Ref) int { return strings.Compare(a.Name, b.Name) })
		got.Findings = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q: %s", c.text, diff)
		}
	}
}

// testPrune removes what is old, and nothing of what is.
func testPrune(t *testing.T, p Place) {
	b := open(t, p)
	web, gone := workload("shop", "web"), workload("shop", "gone")
	stays := finding("a/b/c", bailey.SeverityHigh, web, "m")
	scope, was := bailey.Scope{Kind: bailey.ScopeWorkload, Object: web}, bailey.Scope{Kind: bailey.ScopeWorkload, Object: gone}
	verdict := func(s bailey.Scope, r bailey.Rung) bailey.Verdict {
		return bailey.Verdict{Control: "a/b", Scope: s, Rung: r}
	}
	evidence := func(id string) store.Evidence {
		return store.Evidence{Evidence: bailey.Evidence{ID: id, Control: "a/b", Experiment: "x", Scope: scope}}
	}
	var many []bailey.Finding
	for i := range 2500 {
		many = append(many, finding("a/b/c", bailey.SeverityLow, workload("shop", fmt.Sprint("old", i)), "m"))
	}
	b.apply(1, store.Delta{Findings: append(many, stays, finding("a/b/c", bailey.SeverityLow, gone, "m")),
		Verdicts: []bailey.Verdict{verdict(scope, bailey.RungGap), verdict(was, bailey.RungGap)}, Evidence: []store.Evidence{evidence("1"), evidence("2")}})
	b.ok(b.s.PutRun(b.ctx, uid, at(1), store.Run{ID: "done", State: store.RunDone}))
	b.ok(b.s.PutRun(b.ctx, uid, at(1), store.Run{ID: "running", State: store.RunRunning}))
	b.ok(b.s.Raise(b.ctx, uid, at(1), store.Alert{Key: "over", Kind: store.AlertRung}))
	b.ok(b.s.Raise(b.ctx, uid, at(1), store.Alert{Key: "lasts", Kind: store.AlertRung}))
	b.ok(b.s.Resolve(b.ctx, uid, at(2), "over"))
	b.ok(b.s.Audit(b.ctx, uid, at(2), store.Action{Who: "ada", Action: "login"}))
	b.ok(b.s.AddWaiver(b.ctx, uid, at(2), "w", "ada", bailey.Waiver{Rule: "a/b", Reason: "r", Owner: "o", Expires: at(3)}))
	b.ok(b.s.RemoveWaiver(b.ctx, uid, at(2), "w", "ada"))
	b.ok(b.s.AddWaiver(b.ctx, uid, at(2), "lasts", "ada", bailey.Waiver{Rule: "a/b", Reason: "r", Owner: "o", Expires: at(5)}))
	var objects []bailey.Ref
	for _, f := range many {
		objects = append(objects, f.Object)
	}
	b.apply(3, store.Delta{Gone: append(objects, gone), Verdicts: []bailey.Verdict{verdict(scope, bailey.RungSound)}})
	cut := b.seq()
	late := finding("a/b/c", bailey.SeverityLow, workload("shop", "late"), "m")
	b.apply(10, store.Delta{Findings: []bailey.Finding{late}})
	b.apply(11, store.Delta{Gone: []bailey.Ref{late.Object}})
	end := b.seq()

	pruned, err := b.s.Prune(b.ctx, uid, at(5))
	b.ok(err)
	want := store.Pruned{Findings: 2501, Rungs: 3, Evidence: 1, Runs: 1, Alerts: 1, Waivers: 1}
	want.Changes = pruned.Changes
	if pruned != want || pruned.Changes < 5000 {
		t.Errorf("pruned %+v, want %+v", pruned, want)
	}
	b.check()
	if got := b.findings(store.FindingQuery{Access: store.Everything(), State: store.All}); got.Total != 2 {
		t.Errorf("%d findings are left, want the open one and the one that went lately", got.Total)
	}
	if _, err := b.s.Changes(b.ctx, store.Everything(), uid, 0, 10); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("changes that were pruned: %v", err)
	}
	page, err := b.s.Changes(b.ctx, store.Everything(), uid, cut, 10)
	b.ok(err)
	if len(page.Changes) != 2 || page.Next != end {
		t.Errorf("%+v", page)
	}
	verdicts, err := b.s.Verdicts(b.ctx, store.VerdictQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	rungs, err := b.s.RungChanges(b.ctx, store.RungQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(verdicts.Items) != 1 || len(rungs.Items) != 1 || rungs.Items[0].Seq != verdicts.Items[0].Seq {
		t.Errorf("%+v %+v", verdicts.Items, rungs.Items)
	}
	waivers, err := b.s.Waivers(b.ctx, store.WaiverQuery{Cluster: uid, Access: store.Everything(), State: store.All})
	b.ok(err)
	actions, err := b.s.Actions(b.ctx, store.AuditQuery{Cluster: uid, Access: store.Everything()})
	b.ok(err)
	if len(waivers.Items) != 1 || waivers.Items[0].ID != "lasts" || len(actions.Items) != 1 {
		t.Errorf("%+v %+v", waivers.Items, actions.Items)
	}
	if again, err := b.s.Prune(b.ctx, uid, at(5)); err != nil || again != (store.Pruned{}) {
		t.Errorf("a second time: %+v %v", again, err)
	}
	// One that was pruned comes back as one that was never seen.
	b.apply(12, store.Delta{Findings: many[:1]})
	got, err := b.s.Finding(b.ctx, store.Everything(), uid, many[0].ID)
	b.ok(err)
	if got.Times != 1 || !got.First.Equal(at(12)) {
		t.Errorf("%+v", got)
	}
	b.check()
}

// Fill writes something of everything into a store.
func Fill(t *testing.T, s *store.Store) {
	t.Helper()
	b := &bench{t, s, t.Context()}
	b.ok(s.PutCluster(b.ctx, uid, "production", at(0)))
	b.ok(s.PutCluster(b.ctx, other, "staging", at(0)))
	b.ok(s.SetToken(b.ctx, other, store.HashToken("token")))
	r := rand.New(rand.NewPCG(7, 7))
	for step := range 30 {
		d := randomDelta(r)
		index := uint64(step)
		scope := bailey.Scope{Kind: bailey.ScopeWorkload, Object: randomObject(r)}
		d.Verdicts = []bailey.Verdict{{Control: "a/b", Scope: scope, Rung: bailey.Rung(step % 5)}}
		d.Evidence = []store.Evidence{{Evidence: bailey.Evidence{ID: fmt.Sprint(step), Control: "a/b", Scope: scope, At: at(step)}, Ledger: &index}}
		d.Guards = []store.Guard{{Control: "a/b", Name: "g", Scope: scope, Stage: fmt.Sprint(step)}}
		b.apply(step, d)
		b.ok(s.Raise(b.ctx, uid, at(step), store.Alert{Key: fmt.Sprint(step % 3), Kind: store.AlertRung, Text: "hostile \x00 \xff ' text"}))
		b.ok(s.PutRun(b.ctx, uid, at(step), store.Run{ID: fmt.Sprint(step), State: store.RunDone}))
	}
	b.ok(s.Apply(b.ctx, other, at(1), randomDelta(r)))
	b.ok(s.AddWaiver(b.ctx, uid, at(2), "w", "ada", bailey.Waiver{Rule: "a/b", Reason: "r", Owner: "o", Expires: at(3)}))
	b.ok(s.Audit(b.ctx, uid, at(2), store.Action{Who: "ada", Action: "login"}))
	b.ok(s.Audit(b.ctx, "", at(2), store.Action{Who: "ada", Action: "login"}))
}

// Same fails the test unless two stores hold the same.
func Same(t *testing.T, a, b *store.Store) {
	t.Helper()
	var lines [2][]string
	for i, s := range []*store.Store{a, b} {
		var out bytes.Buffer
		if err := s.Export(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		all := strings.Split(strings.TrimSpace(out.String()), "\n")
		lines[i] = all[:len(all)-1] // the checksum depends on the order
		slices.Sort(lines[i])
	}
	if diff := cmp.Diff(lines[0], lines[1]); diff != "" {
		t.Error(diff)
	}
	if len(lines[0]) < 100 {
		t.Errorf("only %d lines", len(lines[0]))
	}
}

// testBackup restores backups and exports, and refuses those that are not whole.
func testBackup(t *testing.T, p Place) {
	s, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	Fill(t, s)
	b := &bench{t, s, t.Context()}
	dir := t.TempDir()
	path := filepath.Join(dir, "backup")
	for range 2 { // the second takes the first one's place
		b.ok(s.Backup(b.ctx, path))
	}
	info, err := os.Stat(path)
	b.ok(err)
	if info.Mode() != 0o600 {
		t.Errorf("the backup's mode is %s", info.Mode())
	}
	restored, err := p.Restore(path)
	b.ok(err)
	t.Cleanup(func() { restored.Close() })
	Same(t, s, restored)
	r := &bench{t, restored, t.Context()}
	r.check()
	r.apply(100, store.Delta{Findings: []bailey.Finding{finding("a/b/c", bailey.SeverityHigh, workload("shop", "new"), "m")}})
	if got := r.findings(store.FindingQuery{Access: store.Everything(), Text: "new"}); len(got.Items) != 1 {
		t.Errorf("%d are found in the restored store", len(got.Items))
	}
	if err := s.Backup(b.ctx, filepath.Join(dir, "none", "backup")); err == nil {
		t.Error("a backup into a folder that is not there")
	}
	left, err := os.ReadDir(dir)
	b.ok(err)
	if len(left) != 1 {
		t.Errorf("beside the backup there is %v", left)
	}

	data, err := os.ReadFile(path)
	b.ok(err)
	for what, broken := range map[string][]byte{"cut off": data[:len(data)*2/3], "another file": []byte("not a backup\n"), "empty": nil} {
		b.ok(os.WriteFile(path, broken, 0o600))
		if s, err := p.Restore(path); err == nil {
			s.Close()
			t.Errorf("%s: restored", what)
		}
	}
	if s, err := p.Restore(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no backup: %v %v", s, err)
	}

	var export bytes.Buffer
	b.ok(s.Export(b.ctx, &export))
	if strings.Contains(export.String(), "\x00") {
		t.Error("NUL in the export")
	}
	if err := s.Import(b.ctx, bytes.NewReader(export.Bytes())); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an import into a store that is in use: %v", err)
	}
}

// testBackupWhileWriting backs up and exports again and again while somebody writes: each holds what was
// there at one moment.
func testBackupWhileWriting(t *testing.T, p Place) {
	b := open(t, p)
	ctx, stop := context.WithCancel(b.ctx)
	written := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if err := b.s.Apply(b.ctx, uid, at(n), killedDelta(n)); err != nil {
				t.Error(err)
				break
			}
		}
		written <- n
	}()
	dir := t.TempDir()
	last := 0
	for n := range 4 {
		path := filepath.Join(dir, fmt.Sprint(n))
		b.ok(b.s.Backup(b.ctx, path))
		restored, err := p.Restore(path)
		b.ok(err)
		r := &bench{t, restored, t.Context()}
		r.check()
		// Of each delta all is there or nothing, and of the one before half has gone.
		all := r.findings(store.FindingQuery{Access: store.Everything(), State: store.All, Limit: 1}).Total
		gone := r.findings(store.FindingQuery{Access: store.Everything(), State: store.Gone, Limit: 1}).Total
		deltas := all / killedFindings
		if all%killedFindings != 0 || deltas < last || gone != max(0, deltas-1)*killedFindings/2 {
			t.Errorf("backup %d holds %d findings, of which %d have gone; the one before %d deltas", n, all, gone, last)
		}
		last = deltas
		b.ok(restored.Close())
	}
	stop()
	if n := <-written; n <= last || last == 0 {
		t.Errorf("%d deltas were written, and the last backup holds %d", n, last)
	}
	b.check()
}

// testAsItIs backs up and exports what an older program wrote, and leaves it to that.
func testAsItIs(t *testing.T, p Place) {
	if s, err := p.Open(store.AsItIs(t.Context())); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a database that holds nothing is opened as it is: %v, %v", s, err)
	}
	limits.Newest = 3
	t.Cleanup(func() { limits.Newest = 0 })
	old, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { old.Close() })
	Fill(t, old)
	limits.Newest = 0
	s, err := p.Open(store.AsItIs(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	path := filepath.Join(t.TempDir(), "backup")
	b := &bench{t, s, t.Context()}
	b.ok(s.Backup(b.ctx, path))
	if is, _, err := s.Version(b.ctx); err != nil || is != 3 {
		t.Errorf("the tables that were backed up have version %d, %v", is, err)
	}
	restored, err := p.Restore(path)
	b.ok(err)
	t.Cleanup(func() { restored.Close() })
	is, program, err := restored.Version(b.ctx)
	if err != nil || is != program {
		t.Errorf("the tables that were restored have version %d, %v", is, err)
	}
	r := &bench{t, restored, t.Context()}
	r.check()
	// A newer one wrote what this cannot read.
	limits.Later = []limits.Migration{{SQL: "CREATE TABLE later (n {int});", Reader: program + 1}}
	t.Cleanup(func() { limits.Later = nil })
	newer, err := p.Open(t.Context())
	b.ok(err)
	b.ok(newer.Backup(b.ctx, path))
	b.ok(newer.Close())
	limits.Later = nil
	if s, err := p.Open(store.AsItIs(b.ctx)); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer database: %v %v", s, err)
	}
	if s, err := p.Restore(path); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a backup of a newer database: %v %v", s, err)
	}
}
