package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/ledger"
	"github.com/baileyhq/bailey/store"
	"github.com/baileyhq/bailey/store/postgres"
	"github.com/baileyhq/bailey/store/postgres/postgrestest"
)

// replicas are processes of `bailey serve --replicate` over one cluster and one database.
type replicas struct {
	cluster  *devcluster.Cluster
	database *postgrestest.Server
	store    *store.Store // the test's own view
	file     string       // holds its URL
	ledger   string       // that they share
	uid      string
	told     *listener // to alerts
}

func startReplicas(t *testing.T) *replicas {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a control plane and a database, which -short leaves out")
	}
	db, err := postgrestest.Start(t.Context(), "fsync=off")
	if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Stop() })
	url, err := db.Database(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &replicas{cluster: devclustertest.Own(t), database: db, file: filepath.Join(t.TempDir(), "url"), ledger: filepath.Join(t.TempDir(), "ledger")}
	if err := os.WriteFile(r.file, []byte(url+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.store, err = postgres.Open(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.store.Close() })
	var system struct{ Metadata struct{ UID string } }
	if err := r.cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/kube-system", nil, &system); err != nil {
		t.Fatal(err)
	}
	r.uid = system.Metadata.UID
	r.told = listen(t)
	return r
}

// replica is one of them, with a folder and a state of its own.
type replica struct {
	*servedProcess
	token string
}

func (r *replicas) start(t *testing.T) *replica {
	t.Helper()
	state := t.TempDir()
	data := filepath.Join(state, "data")
	p := startServed(t, state, "serve", "--replicate", "--lease-namespace", "default", "--database", r.file, "--kubeconfig", r.cluster.Kubeconfig, "--data", data, "--ledger", r.ledger, "--alert-webhook", r.told.file)
	return &replica{p, tokenIn(t, data)}
}

func (p *replica) leads(t *testing.T) bool {
	_, body := p.get(t, "/metrics", "")
	return strings.Contains(body, "\nbailey_leads 1\n")
}

func (p *replica) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// order asks for a run and gives its ID.
func (p *replica) order(t *testing.T, body string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/api/v1/runs", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+p.token)
	q.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var made struct{ ID, Detail string }
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("the order: %d %+v %v", answer.StatusCode, made, err)
	}
	return made.ID
}

func awaitWithin(t *testing.T, limit time.Duration, what string, there func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !there() {
		if time.Since(begun) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(begun)
}

func (r *replicas) pod(t *testing.T, name string) {
	t.Helper()
	if err := r.cluster.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/default/pods", map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"hostNetwork": true, "containers": []any{map[string]any{"name": "c", "image": "x"}}}}, nil); err != nil {
		t.Fatal(err)
	}
}

// kept reports whether what is wrong with a pod is in the store.
func (r *replicas) kept(t *testing.T, pod string) func() bool {
	return func() bool {
		page, err := r.store.Findings(t.Context(), store.FindingQuery{Cluster: r.uid, Access: store.Everything(), Namespaces: []string{"default"}, Name: pod})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items) > 0
	}
}

// same compares the open findings in the store with those of a fresh scan.
func (r *replicas) same(t *testing.T) {
	t.Helper()
	var have, want []string
	for range 50 {
		have, want = nil, nil
		for q := (store.FindingQuery{Cluster: r.uid, Access: store.Everything(), Limit: 1000}); ; {
			page, err := r.store.Findings(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range page.Items {
				have = append(have, f.ID)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
		for _, f := range result(t, "--kubeconfig", r.cluster.Kubeconfig).Findings {
			want = append(want, f.ID)
		}
		slices.Sort(have)
		slices.Sort(want)
		if slices.Equal(have, want) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if !slices.Equal(have, want) || len(want) == 0 {
		t.Errorf("%d findings are kept, and a scan finds %d", len(have), len(want))
	}
	if err := r.store.Check(t.Context(), r.uid); err != nil {
		t.Error(err)
	}
}

// tried adds up the tries that verdicts rest on.
func (r *replicas) tried(t *testing.T) (n int) {
	t.Helper()
	for q := (store.VerdictQuery{Cluster: r.uid, Access: store.Everything(), Limit: 1000}); ; {
		page, err := r.store.Verdicts(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Items {
			if v.Proof != nil {
				n += v.Proof.Tried
			}
		}
		if q.After = page.Next; q.After == "" {
			return n
		}
	}
}

// runs gives the runs of a trigger, the newest first.
func (r *replicas) runs(t *testing.T, trigger store.RunTrigger) (all []store.Run) {
	t.Helper()
	page, err := r.store.Runs(t.Context(), store.RunQuery{Cluster: r.uid, Access: store.Everything(), Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range page.Items {
		if run.Trigger == trigger {
			all = append(all, run)
		}
	}
	return all
}

func (r *replicas) run(t *testing.T, id string) store.Run {
	t.Helper()
	run, err := r.store.Run(t.Context(), store.Everything(), r.uid, id)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// TestReplicas: of two replicas one leads. It is killed, paused, ended and cut off from the API
// server; the other goes on, and nothing is lost or done twice.
func TestReplicas(t *testing.T) {
	r := startReplicas(t)
	first := r.start(t)
	awaitWithin(t, time.Minute, "the first leads", func() bool { return first.leads(t) })
	awaitWithin(t, time.Minute, "the schedule begins a run", func() bool { return len(r.runs(t, store.TriggerSchedule)) == 1 })
	r.pod(t, "alarming") // while the second starts there is time to tell of it
	second := r.start(t)
	if second.leads(t) {
		t.Fatal("both lead")
	}
	r.awaitTold(t, "host-namespaces")

	// Killed in the middle of its first run.
	took := r.killed(t, first, "in-the-gap")
	if !second.leads(t) {
		t.Error("the second keeps, and does not lead")
	}
	awaitWithin(t, time.Minute, "the run that was cut off is said to have failed", func() bool {
		run := r.runs(t, store.TriggerSchedule)[0]
		return run.State == store.RunFailed && run.Error != ""
	})
	awaitText(t, second.servedProcess, second.token, "/api/v1/findings?name=in-the-gap", "host-namespaces")
	r.same(t)
	r.privileged(t, "alarming-too")
	r.awaitTold(t, "privileged")

	first = r.start(t)
	if took >= goesOnWithin { // this machine may have been busy: the better of two counts
		took = r.killed(t, second, "in-another-gap")
		first, second = r.start(t), first
	}
	if took >= goesOnWithin {
		t.Errorf("what a killed leader did goes on after %s only", took)
	}

	// An order at a replica that does not lead.
	if first.leads(t) {
		t.Fatal("both lead")
	}
	id := first.order(t, `{"controls":[]}`)
	awaitWithin(t, 2*time.Minute, "the order is done", func() bool { return r.run(t, id).State == store.RunDone })
	if run := r.run(t, id); run.Tried == 0 || run.Error != "" {
		t.Errorf("the run: %+v", run)
	}
	awaitText(t, first.servedProcess, first.token, "/api/v1/runs/"+id, `"state":"done"`)
	r.waiver(t, first)
	before := 0
	awaitWithin(t, time.Minute, "verdicts rest on what was tried", func() bool { before = r.tried(t); return before > 0 })
	t.Run("Paused", func(t *testing.T) { first, second = r.paused(t, second, first) })
	if after := r.tried(t); after != before {
		t.Errorf("verdicts rest on %d tries, and did on %d before another replica led", after, before)
	}
	t.Run("Cut off", func(t *testing.T) { r.cutOff(t, first, second) })
	leader, other := first, second
	if second.leads(t) {
		leader, other = second, first
	}
	r.allTold(t)
	if code, said := leader.end(t); code != exitOK {
		t.Errorf("exit %d: %s", code, said)
	}
	took = awaitWithin(t, time.Minute, "the other leads", func() bool { return other.leads(t) })
	t.Logf("from the end of the leader until the other leads: %s", took.Round(10*time.Millisecond))
	if took > leaseLifeOfTests {
		t.Errorf("the lease was not given back: it took %s", took)
	}
	r.same(t)
	if runs := r.runs(t, store.TriggerSchedule); len(runs) != 1 {
		t.Errorf("the schedule ran %d times: %+v", len(runs), runs)
	}
	if runs := r.runs(t, store.TriggerAPI); len(runs) != 1 {
		t.Errorf("one run was ordered, and there are %d: %+v", len(runs), runs)
	}
	if code, said := other.end(t); code != exitOK || strings.Contains(said, other.token) {
		t.Errorf("exit %d: %s", code, said)
	}
	r.recorded(t)
	r.told.once(t)
}

// goesOnWithin is how soon another replica does what a killed leader did; candidate.go says what of it is for leading.
const goesOnWithin = 15 * time.Second

// killed kills the leader, and gives how long it takes until a change is kept that is made meanwhile.
func (r *replicas) killed(t *testing.T, leader *replica, pod string) time.Duration {
	t.Helper()
	r.allTold(t)
	begun := time.Now()
	leader.kill()
	r.pod(t, pod)
	awaitWithin(t, time.Minute, "what changed meanwhile is kept", r.kept(t, pod))
	took := time.Since(begun)
	t.Logf("from SIGKILL of the leader until a change made meanwhile is kept: %s", took.Round(10*time.Millisecond))
	return took
}

// recorded: the ledger that all of them wrote is intact, and holds each piece of evidence once.
func (r *replicas) recorded(t *testing.T) {
	t.Helper()
	if out, errs, code := program(t, "ledger", "verify", r.ledger); code != exitOK {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	root, err := os.OpenRoot(r.ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	identities, err := keptIdentity(r.ledger)
	if err != nil {
		t.Fatal(err)
	}
	list, err := ledger.List(t.Context(), root.FS(), ledger.ListOptions{Identities: identities})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]uint64{}
	for e, err := range list.Entries {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := at[e.ID]; twice {
			t.Errorf("%s was recorded twice", e.ID)
		}
		at[e.ID] = e.Index
	}
	shown := 0
	for q := (store.EvidenceQuery{Cluster: r.uid, Access: store.Everything(), Limit: 1000}); ; {
		page, err := r.store.Evidence(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Items {
			if e.Ledger == nil {
				continue
			}
			shown++
			if index, there := at["evidence/"+e.ID]; !there || index != *e.Ledger {
				t.Errorf("%s is at %d (%t), and is said to be at %d", e.ID, index, there, *e.Ledger)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if shown == 0 {
		t.Error("no evidence is said to be in the ledger")
	}
}

// leaseLifeOfTests is how long a lease lasts that is not given back.
const leaseLifeOfTests = 8 * time.Second

// waiver adds a waiver at a replica that does not lead: whoever leads takes it in.
func (r *replicas) waiver(t *testing.T, at *replica) {
	t.Helper()
	body := `{"rule":"compute/pod-security/host-namespaces","namespace":"default","reason":"a test","owner":"me","expires":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.url+"/api/v1/waivers", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+at.token)
	q.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Fatalf("the waiver: %d", answer.StatusCode)
	}
	waived := true
	awaitWithin(t, 30*time.Second, "the waiver is taken in", func() bool {
		page, err := r.store.Findings(t.Context(), store.FindingQuery{Cluster: r.uid, Access: store.Everything(), Waived: &waived})
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items) > 0
	})
	page, err := r.store.Waivers(t.Context(), store.WaiverQuery{Cluster: r.uid, Access: store.Everything()})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%+v %v", page, err)
	}
	if err := r.store.RemoveWaiver(t.Context(), r.uid, time.Now(), page.Items[0].ID, "the test"); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, 30*time.Second, "its end is taken in", func() bool {
		page, err := r.store.Findings(t.Context(), store.FindingQuery{Cluster: r.uid, Access: store.Everything(), Waived: &waived})
		return err == nil && len(page.Items) == 0
	})
}
