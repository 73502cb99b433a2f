package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/prove"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store/sqlite"
)

// soaking gives the full length of a trial with BAILEY_SOAK=1, and otherwise the short one.
func soaking[T any](short, full T) T {
	if os.Getenv("BAILEY_SOAK") != "" {
		return full
	}
	return short
}

// TestServeThroughTrouble: a server goes on through a flood of changes, an API server that is
// away or hangs, a full disk and a database that is gone and comes back. It says what it does
// not see, loses no history, and afterwards says what a scan says.
func TestServeThroughTrouble(t *testing.T) {
	t.Parallel() // it mostly waits
	w := troubled{cluster: devclustertest.Own(t), namespace: "trouble", state: t.TempDir()}
	w.make(t, "/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": w.namespace}})
	disk := t.TempDir()
	mounted := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size="+soaking("200m", "2g")+",mode=0700")
	if mounted == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	data := filepath.Join(disk, "data")
	w.servedProcess = startServed(t, w.state, "serve", "--kubeconfig", w.cluster.Kubeconfig, "--data", data, "--prove-every", "0")
	w.token = tokenIn(t, data)

	t.Run("a change", func(t *testing.T) {
		w.pod(t, "one")
		w.awaitKept(t, "one")
		all, there := w.metric(t, "bailey_change_judged_seconds_count")
		soon, _ := w.metric(t, `bailey_change_judged_seconds_bucket{le="1"}`)
		if !there || all == 0 || soon != all {
			t.Errorf("%g changes are said to have been judged, %g of them within a second", all, soon)
		}
	})

	t.Run("changes one by one", w.judgedSoon)

	before := w.gone(t, "ends")

	t.Run("a flood of changes", func(t *testing.T) {
		n := soaking(500, 6_700) // made, and half of them taken away again
		begun := time.Now()
		w.each(n, func(i int) { w.pod(t, fmt.Sprint("flood", i)) })
		w.each(n, func(i int) {
			if i%2 == 0 {
				w.delete(t, fmt.Sprint("flood", i))
			}
		})
		took := time.Since(begun)
		t.Logf("%d changes in %s", n+n/2, took.Round(time.Second))
		if took >= time.Minute { // with BAILEY_SOAK=1 there are 10,000
			t.Errorf("making %d changes took %s: it is no flood", n+n/2, took)
		}
		w.pod(t, "after-flood")
		t.Logf("kept %s later", w.awaitKept(t, "after-flood").Round(time.Millisecond))
		w.same(t)
		before.still(t, w.servedProcess, w.token)
	})

	t.Run("the API server is away", func(t *testing.T) {
		start, err := w.cluster.StopAPIServer(t.Context(), syscall.SIGKILL)
		if err != nil {
			t.Fatal(err)
		}
		awaitWithin(t, time.Minute, "it says that the cluster is out of sight", func() bool { return w.lost(t) })
		idle, known := w.cpu(t), len(w.exported(t, w.token))
		away := soaking(5*time.Second, 5*time.Minute)
		time.Sleep(away)
		if used := w.cpu(t) - idle; used > away/4 {
			t.Errorf("it used %s of processor time in %s while there was nothing to do", used, away)
		}
		if code, body := w.get(t, "/readyz", ""); code != http.StatusOK {
			t.Errorf("it is not ready: %d %s", code, body)
		}
		if now := len(w.exported(t, w.token)); now != known || known == 0 {
			t.Errorf("%d findings were known, and %d while nothing is seen", known, now)
		}
		before.still(t, w.servedProcess, w.token)
		if code, body := w.get(t, "/", w.token); code != http.StatusOK || !strings.Contains(body, "out of sight") {
			t.Errorf("the page does not say that the cluster is out of sight: %d", code)
		}
		if err := start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.pod(t, "after-absence")
		w.awaitKept(t, "after-absence")
		awaitWithin(t, time.Minute, "it says that the cluster is back", func() bool { return !w.lost(t) })
		w.same(t)
		before.still(t, w.servedProcess, w.token)
	})

	t.Run("the API server hangs", func(t *testing.T) {
		if os.Getenv("BAILEY_SOAK") == "" {
			t.Skip("takes minutes: BAILEY_SOAK=1 runs it")
		}
		pid := w.cluster.PIDs()[devcluster.APIServer]
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		goOn := func() { once.Do(func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) }
		defer goOn()
		t.Logf("noticed after %s", awaitWithin(t, 3*time.Minute, "it says that the cluster is out of sight", func() bool { return w.lost(t) }).Round(time.Second))
		goOn()
		w.pod(t, "after-hang")
		w.awaitKept(t, "after-hang")
		awaitWithin(t, 2*time.Minute, "it says that the cluster is back", func() bool { return !w.lost(t) })
		w.same(t)
		before.still(t, w.servedProcess, w.token)
	})

	t.Run("the disk is full", func(t *testing.T) {
		switch {
		case mounted != nil && os.Getenv("CI") != "":
			t.Fatalf("no small disk can be mounted here: run as root, or without CI in the environment: %v", mounted)
		case mounted != nil:
			t.Skipf("no small disk can be mounted here: %v", mounted)
		}
		ballast := filepath.Join(disk, "ballast")
		if err := os.WriteFile(ballast, make([]byte, soaking(400<<20, 4<<30)), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		known := len(w.exported(t, w.token))
		// What fits into what the database has reserved is kept; more is not, and the server says so.
		stale := func() bool {
			_, body := w.get(t, "/api/v1/status", w.token)
			var sight server.Sight
			return json.Unmarshal([]byte(body), &sight) == nil && sight.Kept != nil
		}
		for i := 0; !stale(); i++ {
			w.each(soaking(1, 50), func(j int) { w.pod(t, fmt.Sprint("full", i, "-", j)) }) // a flood leaves room in the database
			time.Sleep(2 * time.Second)
			if i > 200 {
				t.Fatal("it does not say that nothing is kept on a disk that is full")
			}
		}
		if now := len(w.exported(t, w.token)); now < known {
			t.Errorf("%d findings were known, and %d on a full disk", known, now)
		}
		before.still(t, w.servedProcess, w.token)
		if _, body := w.get(t, "/findings", w.token); !strings.Contains(body, "The history stopped") || strings.Contains(body, "went out of sight") {
			t.Error("the page does not say that it shows what was kept before")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		w.pod(t, "after-full")
		t.Logf("kept %s after there was room", w.awaitKept(t, "after-full").Round(time.Millisecond))
		w.same(t)
		before.still(t, w.servedProcess, w.token)
	})

	t.Run("the database is gone and back", func(t *testing.T) {
		file := filepath.Join(data, sqlite.File)
		if err := os.Rename(file, file+".away"); err != nil {
			t.Fatal(err)
		}
		w.pod(t, "meanwhile")
		awaitWithin(t, time.Minute, "it says that it is not ready", func() bool { code, _ := w.get(t, "/readyz", ""); return code == http.StatusServiceUnavailable })
		if err := os.Rename(file+".away", file); err != nil {
			t.Fatal(err)
		}
		w.awaitKept(t, "meanwhile")
		awaitWithin(t, time.Minute, "it is ready", func() bool { code, _ := w.get(t, "/readyz", ""); return code == http.StatusOK })
		w.same(t)
		before.still(t, w.servedProcess, w.token)
	})

	if code, said := w.end(t); code != exitOK || strings.Contains(said, "panic") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// TestServeThroughDatabaseRestart: PostgreSQL ends under the server and comes back.
func TestServeThroughDatabaseRestart(t *testing.T) {
	t.Parallel() // it mostly waits
	r := startReplicas(t)
	w := troubled{cluster: r.cluster, namespace: "default", state: t.TempDir()}
	data := filepath.Join(w.state, "data")
	w.servedProcess = startServed(t, w.state, "serve", "--database", r.file, "--kubeconfig", r.cluster.Kubeconfig, "--data", data, "--prove-every", "0")
	w.token = tokenIn(t, data)
	before := w.gone(t, "ends")
	if err := r.database.End(); err != nil {
		t.Fatal(err)
	}
	w.pod(t, "meanwhile")
	awaitWithin(t, time.Minute, "it says that it is not ready", func() bool { code, _ := w.get(t, "/readyz", ""); return code == http.StatusServiceUnavailable })
	if code, body := w.get(t, "/", w.token); code == http.StatusOK || strings.Contains(body, "goroutine") {
		t.Errorf("the page without a database: %d %.300s", code, body)
	}
	if err := r.database.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("kept %s after the database was back", w.awaitKept(t, "meanwhile").Round(time.Millisecond))
	w.same(t)
	before.still(t, w.servedProcess, w.token)
}

// TestServeByAJumpingClock: a clock that jumps years ahead and back loses no history, ends nothing,
// and leaves the server saying what a scan says.
func TestServeByAJumpingClock(t *testing.T) {
	t.Parallel() // it mostly waits
	cluster := devclustertest.Own(t)
	state := t.TempDir()
	data := filepath.Join(state, "data")
	var ahead atomic.Int64
	address := "127.0.0.1:" + strconv.Itoa(freePort(t))
	var said bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &said, quiet: true, now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	f := &serveFlags{data: data, listen: address, rate: prove.DefaultRate, tend: tendFlags{keep: leastKept, severity: "high"}}
	f.target.kubeconfig = cluster.Kubeconfig
	go func() { ended <- a.serve(ctx, f) }()
	w := troubled{cluster: cluster, namespace: "default", state: state, servedProcess: &servedProcess{url: "http://" + address}}
	awaitWithin(t, time.Minute, "it is ready", func() bool { code, _ := w.get(t, "/readyz", ""); return code == http.StatusOK })
	w.token = tokenIn(t, data)
	before := w.gone(t, "ends")
	for i, jump := range []time.Duration{3 * 365 * 24 * time.Hour, -3 * 365 * 24 * time.Hour, 0} {
		ahead.Store(int64(jump))
		name := fmt.Sprint("p", i+1)
		w.pod(t, name)
		w.awaitKept(t, name)
		before.still(t, w.servedProcess, w.token)
	}
	w.same(t)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// troubled is a server and the cluster that it watches.
type troubled struct {
	*servedProcess
	token     string
	cluster   *devcluster.Cluster
	namespace string
	state     string
}

func (w *troubled) make(t *testing.T, path string, object map[string]any) {
	t.Helper()
	if err := w.cluster.Do(t.Context(), http.MethodPost, path, object, nil); err != nil {
		t.Error(err)
	}
}

// each calls the function for many, by some goroutines.
func (w *troubled) each(n int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// pod makes one that is on its node's network. No scheduler looks for a node for it, of which there is none: telling so of each would
// be two more requests.
func (w *troubled) pod(t *testing.T, name string) {
	t.Helper()
	w.make(t, "/api/v1/namespaces/"+w.namespace+"/pods", map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name},
		"spec": map[string]any{"hostNetwork": true, "schedulerName": "none", "containers": []any{map[string]any{"name": "c", "image": "x"}}}})
}

func (w *troubled) delete(t *testing.T, name string) {
	t.Helper()
	path := "/api/v1/namespaces/" + w.namespace + "/pods/" + name
	if err := w.cluster.Do(t.Context(), http.MethodDelete, path, map[string]any{"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}, nil); err != nil {
		t.Error(err)
	}
}

// kept reports whether what is wrong with a pod is in the store.
func (w *troubled) kept(t *testing.T, pod string) bool {
	t.Helper()
	code, body := w.get(t, "/api/v1/findings?name="+pod, w.token)
	return code == http.StatusOK && strings.Contains(body, `"name":"`+pod+`"`)
}

func (w *troubled) awaitKept(t *testing.T, pod string) time.Duration {
	t.Helper()
	return awaitWithin(t, 2*time.Minute, "what is wrong with "+pod+" is kept", func() bool { return w.kept(t, pod) })
}

func (w *troubled) lost(t *testing.T) bool {
	t.Helper()
	seconds, there := w.metric(t, "bailey_out_of_sight_seconds")
	return there && seconds != 0
}

// metric gives a number of the metrics, if it is there.
func (p *servedProcess) metric(t *testing.T, name string) (value float64, there bool) {
	t.Helper()
	_, body := p.get(t, "/metrics", "")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(body)
	if m == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value, true
}

// cpu is the processor time that the process has used.
func (w *troubled) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * (time.Second / 100)
}

// same compares what the server keeps with what a fresh scan finds.
func (w *troubled) same(t *testing.T) {
	t.Helper()
	var have, want []string
	for range 20 {
		have, want = w.exported(t, w.token), seenIn(scanned(t, w.state, "--kubeconfig", w.cluster.Kubeconfig)).findings
		if slices.Equal(have, want) && len(want) > 0 {
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
	t.Errorf("%d findings are kept, and a scan finds %d", len(have), len(want))
}
