package controls_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/access"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/controls/deploy"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }

// auditLog is a watcher that runs the detections over an API server's audit log.
type auditLog struct {
	path string
	set  *detect.Set

	mu     sync.Mutex
	offset int
	alerts []detect.Alert
}

func (*auditLog) Name() string { return "audit log" }

func (w *auditLog) Await(ctx context.Context, _ string, ids, names []string, _ time.Time) (time.Time, bool, string, error) {
	deadline := time.Now().Add(5 * time.Second)
	for {
		if err := w.read(); err != nil {
			return time.Time{}, false, "", err
		}
		if slices.ContainsFunc(w.alerts, func(a detect.Alert) bool {
			return slices.Contains(names, a.Detection) && slices.ContainsFunc(a.AuditIDs, func(id string) bool { return slices.Contains(ids, id) })
		}) {
			return time.Now(), true, "", nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return time.Time{}, false, "", nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// read takes in the lines that came since.
func (w *auditLog) read() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	data, err := os.ReadFile(w.path)
	if err != nil {
		return err
	}
	for {
		line, _, whole := bytes.Cut(data[w.offset:], []byte("\n"))
		if !whole {
			return nil
		}
		w.offset += len(line) + 1
		e, err := detect.Decode(line, detect.DefaultLimits)
		if err != nil {
			return err
		}
		w.alerts = append(w.alerts, w.set.Match(e)...)
	}
}

// TestTriesAreNoticed: what experiments try is told by the detections that they await, from
// a real audit log.
func TestTriesAreNoticed(t *testing.T) {
	if os.Getenv("BAILEY_SOAK") == "" {
		t.Skip("takes a minute: BAILEY_SOAK=1 runs it")
	}
	// Strangers are let in as far as authorization goes, as in most clusters.
	cluster, err := devcluster.Start(t.Context(), devcluster.Options{ExtraAPIServerArgs: []string{"--anonymous-auth=true"},
		ExtraControllerManagerArgs: []string{"--controllers=*,-node-lifecycle-controller"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	set, err := detect.Compile()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tried.yaml")
	text := regexp.MustCompile(`, uid: u\d`).ReplaceAllString(tried, "")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; { // the pod wants its namespace's ServiceAccount
		out, err := cluster.Kubectl(t.Context(), "apply", "-f", file)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v\n%s", err, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
	s := provetest.Collect(t, cluster)
	noticed := 0
	for _, c := range []struct {
		control *bailey.Control
		only    []string
	}{
		{access.APIServer, []string{"strangers-refused"}}, {access.APIBypass, []string{"mounts-refused"}},
		{access.Authentication, nil}, {access.CertificateSigning, nil},
		{compute.NodeIsolation, []string{"nodes-are-bounded"}},
		{deploy.Admission, nil}, {deploy.ImageIdentity, []string{"unknown-images-refused"}},
	} {
		for _, r := range provetest.Run(t, cluster, c.control, provetest.Options{Only: c.only, Snapshot: s, Repeat: 1,
			Watchers: []prove.Watcher{&auditLog{path: cluster.AuditLog, set: set.Fresh()}}}) {
			for i := range r.Results {
				probe, result := &r.Unit.Probes[i], &r.Results[i]
				awaited := probe.Detections
				if awaited == nil {
					awaited = r.Unit.Experiment.Detections
				}
				switch {
				case len(awaited) == 0 || result.Tried == 0:
				case len(result.Detected) != 1 || !result.Detected[0].Found:
					t.Errorf("%s: %s (%s): %+v, awaits %v", r.Unit.Experiment.Name, result.Name, result.Path, result.Detected, awaited)
				default:
					noticed++
				}
			}
		}
	}
	if noticed < 40 {
		t.Errorf("only %d tries were noticed", noticed)
	}
}
