package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/audit"
	"github.com/baileyhq/bailey/derive/detect"
	"github.com/baileyhq/bailey/store"
)

// TestDetections tells stories: what is told, minutes after the first, and what becomes of it.
func TestDetections(t *testing.T) {
	alert := func(id, user string, code int) detect.Alert {
		return detect.Alert{Detection: "exec", Title: "Somebody entered a container", Severity: bailey.SeverityMedium, AuditIDs: []string{id}, User: user, Verb: "create",
			Resource: "pods/exec", Namespace: "shop", Name: "web", Code: code, Refused: code >= 400}
	}
	quiet := alert("q", "bob", 101)
	quiet.Severity = bailey.SeverityLow
	begun := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d := &detections{open: map[string]*lasting{}}
	for _, step := range []struct {
		minute int
		told   []detect.Alert
		want   string
	}{
		{0, []detect.Alert{quiet}, ""},
		{0, []detect.Alert{alert("1", "eve", 403), alert("2", "eve", 403)}, "raise detection/exec/eve/shop medium"},
		{1, []detect.Alert{alert("3", "eve", 403)}, "revise detection/exec/eve/shop medium"},
		{2, []detect.Alert{alert("4", "eve", 101), alert("4", "eve", 101)}, "raise detection/exec/eve/shop medium"},
		{3, []detect.Alert{alert("4", "eve", 101)}, "revise detection/exec/eve/shop medium"},
		{4, []detect.Alert{alert("5", "eve", 101), alert("6", "mallory", 101)}, "revise detection/exec/eve/shop medium; raise detection/exec/mallory/shop medium"},
		{59, nil, ""},
		{63, []detect.Alert{alert("7", "eve", 101)}, "raise detection/exec/eve/shop medium"},
		{64, nil, "end detection/exec/mallory/shop medium"},
		{124, nil, "end detection/exec/eve/shop medium"},
		{125, []detect.Alert{alert("8", "eve", 403)}, "raise detection/exec/eve/shop medium"},
	} {
		at := begun.Add(time.Duration(step.minute) * time.Minute)
		for i := range step.told {
			step.told[i].Time = at
		}
		changes := append(d.take(step.told, at), d.rest(at)...)
		if got := toldOf(changes); got != step.want {
			t.Errorf("minute %d: %s\nwant %s", step.minute, got, step.want)
		}
		if step.minute == 63 && !strings.Contains(changes[0].alert.Text, "7 times so far, 4 let through. About shop/web.") {
			t.Error(changes[0].alert.Text)
		}
		if through := step.minute == 2; len(changes) > 0 && step.minute <= 2 && strings.Contains(changes[0].alert.Title, "nothing got through") == through {
			t.Errorf("minute %d: %s", step.minute, changes[0].alert.Title)
		}
	}
	// Names of callers' choice make few alerts.
	for i := range 100 {
		d.take([]detect.Alert{alert(fmt.Sprint("n", i), fmt.Sprint("user", i, strings.Repeat("x", 5*i)), 403)}, begun)
	}
	if n := len(d.open); n != callersMost+1 {
		t.Errorf("%d alerts", n)
	}
	for key, l := range d.open {
		if len(key) > keyMost || len(l.alert.Text) > alertTextMost+3 {
			t.Errorf("%d bytes: %s", len(key), key)
		}
	}
	if l := d.open["detection/exec"]; l == nil || l.doc.Seen.Count != 100-callersMost+1 || !strings.HasPrefix(l.alert.Text, "many callers") {
		t.Errorf("%+v", l)
	}
}

// logging is an audit log and a detector that follows it.
type logging struct {
	t    *testing.T
	path string
	kept *store.Store
	mark []byte
	end  func()
	*Detector
}

// execURI and execAgent are of the requests that are written.
const execURI, execAgent = "/api/v1/namespaces/shop/pods/web/exec?command=sh", "kubectl/v1.34.0"

// own gives an audit ID by which Bailey makes such a request.
func (l *logging) own() string { return l.o.Hallmark.id(http.MethodPost, execURI, execAgent) }

// write writes what user did, who chose the audit ID.
func (l *logging) write(id, user string) { l.writeBut(id, user, nil) }

// writeBut is write, of an event that has other members too.
func (l *logging) writeBut(id, user string, other map[string]any) {
	l.t.Helper()
	e := map[string]any{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id, "stage": "ResponseComplete",
		"requestURI": execURI, "verb": "create", "user": map[string]any{"username": user, "groups": []string{"system:authenticated"}},
		"sourceIPs": []string{"10.0.0.9"}, "userAgent": execAgent, "objectRef": map[string]any{"resource": "pods", "subresource": "exec", "apiVersion": "v1", "namespace": "shop", "name": "web"},
		"responseStatus": map[string]any{"code": 101}, "requestReceivedTimestamp": time.Now().UTC().Format(time.RFC3339Nano), "stageTimestamp": time.Now().UTC().Format(time.RFC3339Nano)}
	maps.Copy(e, other)
	data, err := json.Marshal(e)
	if err != nil {
		l.t.Fatal(err)
	}
	l.append(append(data, '\n'))
}

func (l *logging) append(data []byte) {
	l.t.Helper()
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	_ = f.Close()
}

// begin starts a process.
func (l *logging) begin() {
	loop := NewLoop(LoopOptions{}, NewNews())
	loop.snap, loop.version = bailey.NewBuilder(bailey.Meta{ClusterUID: tellingUID}).Snapshot(), 1
	l.Detector = NewDetector(DetectorOptions{Path: l.path, Hallmark: NewHallmark([]byte("key"), time.Now), Loop: loop, News: NewNews(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Load: func() ([]byte, error) { return l.mark, nil }, Save: func(mark []byte) error { l.mark = slices.Clone(mark); return nil }})
	ctx, cancel := context.WithCancel(l.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := l.Run(ctx, l.kept); ctx.Err() == nil {
			l.t.Errorf("it ended: %v", err)
		}
	}()
	l.end = func() { cancel(); <-ended }
}

// await waits until the alerts that last are these, with how often each was seen.
func (l *logging) await(want string) {
	l.t.Helper()
	got := ""
	for range 100 {
		page, err := l.kept.Alerts(l.t.Context(), store.AlertQuery{Cluster: tellingUID, Access: store.Everything()})
		if err != nil {
			l.t.Fatal(err)
		}
		var all []string
		for i := range page.Items {
			line := page.Items[i].Key
			if doc := docOf(&page.Items[i]); doc.Seen != nil {
				line += fmt.Sprint(" ", doc.Seen.Count)
			}
			all = append(all, line)
		}
		slices.Sort(all)
		if got = strings.Join(all, ", "); got == want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.t.Fatalf("alerts: %s\nwant %s; %+v", got, want, l.State())
}

// TestDetector: what comes after the beginning is told, but for Bailey's own; a process that begins
// anew tells what came meanwhile, and nothing twice; and that a part of the log is lost is told.
func TestDetector(t *testing.T) {
	l := &logging{t: t, path: filepath.Join(t.TempDir(), "audit.log"), kept: openStore(t)}
	if err := l.kept.PutCluster(t.Context(), tellingUID, "telling", time.Now()); err != nil {
		t.Fatal(err)
	}
	l.write("before", "alice")
	l.begin()
	for l.State().Since.IsZero() {
		time.Sleep(10 * time.Millisecond)
	}
	own := l.own()
	l.write(own, "bailey")
	l.write("1", "eve")
	l.write(own, "eve") // who learned of the ID
	l.await("detection/exec/eve/shop 2")
	l.end()
	l.write(l.own(), "bailey") // it came in when the process ended
	l.write("2", "mallory")
	l.write("3", "eve")
	l.begin()
	l.await("detection/exec/eve/shop 3, detection/exec/mallory/shop 1")
	l.end()
	l.begin()
	l.write("4", "eve")
	l.write("4", "eve") // under the same ID once more
	l.await("detection/exec/eve/shop 5, detection/exec/mallory/shop 1")
	if s := l.State(); s.Problem != "" || s.Unreadable != 0 || s.Since.IsZero() {
		t.Errorf("%+v", s)
	}
	l.end()
	// A burst that had begun is counted on, and told once; an ID that was Bailey's stays used.
	l.begin()
	list := func(namespace string) {
		l.writeBut("list-"+namespace, "trudy", map[string]any{"verb": "list", "requestURI": "/api/v1/namespaces/" + namespace + "/secrets",
			"objectRef": map[string]any{"resource": "secrets", "apiVersion": "v1", "namespace": namespace}, "responseStatus": map[string]any{"code": 200}})
	}
	for _, namespace := range []string{"a", "b", "c", "d"} {
		list(namespace)
	}
	own = l.own()
	l.write(own, "bailey")
	l.write("5", "eve")
	l.await("detection/exec/eve/shop 6, detection/exec/mallory/shop 1")
	l.end()
	l.begin()
	list("e")
	l.write(own, "trudy")
	l.await("detection/exec/eve/shop 6, detection/exec/mallory/shop 1, detection/exec/trudy/shop 1, detection/secrets-sweep/trudy/e 1")
	l.end()
	l.begin()
	l.write("6", "eve")
	l.await("detection/exec/eve/shop 7, detection/exec/mallory/shop 1, detection/exec/trudy/shop 1, detection/secrets-sweep/trudy/e 1")
	l.end()
	// The log is another one: what was between is not known.
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	l.write("7", "eve")
	l.begin()
	l.await("detection/exec/eve/shop 8, detection/exec/mallory/shop 1, detection/exec/trudy/shop 1, detection/secrets-sweep/trudy/e 1, staleness/audit")
	if s := l.State(); !strings.Contains(s.Problem, "events may be missing") {
		t.Errorf("%+v", s)
	}
	l.end()
	// What is too large or too deep is told of, as far as it can be without what was sent.
	anew := func() {
		t.Helper()
		l.kept = openStore(t)
		if err := l.kept.PutCluster(t.Context(), tellingUID, "telling", time.Now()); err != nil {
			t.Fatal(err)
		}
		l.begin()
	}
	anew()
	deep := json.RawMessage(strings.Repeat("[", 200) + strings.Repeat("]", 200))
	l.writeBut("deep", "eve", map[string]any{"requestObject": deep})
	l.writeBut("long", "eve", map[string]any{"requestObject": []string{strings.Repeat("x", audit.MaxLine)}})
	l.await("detection/exec/eve/shop 2")
	pods := map[string]any{"resource": "pods", "apiVersion": "v1", "namespace": "shop", "name": "web"}
	l.writeBut("answer", "eve", map[string]any{"level": "RequestResponse", "objectRef": pods, "requestObject": map[string]any{}, "responseObject": deep})
	l.write("6", "eve")
	l.await("detection/exec/eve/shop 3")
	l.writeBut("hidden", "mallory", map[string]any{"level": "Request", "objectRef": pods, "requestObject": deep})
	l.await("detection/exec/eve/shop 3, staleness/audit")
	if s := l.State(); s.Unreadable != 0 || s.Cut != 1 || len(s.Blind) != 0 || !strings.Contains(s.Problem, "the last by mallory: create pods shop/web") || !strings.Contains(s.Problem, "privileged-container") {
		t.Errorf("%+v", s)
	}
	l.end()
	// What the process before left is damaged: the log is read from its end, and that is told.
	l.mark = []byte(`{"offset": 1`)
	l.write("unread", "mallory")
	anew()
	l.await("staleness/audit")
	if s := l.State(); !strings.Contains(s.Problem, "is not known: it is read from its end on") {
		t.Errorf("%+v", s)
	}
	l.write("8", "eve")
	l.await("detection/exec/eve/shop 1, staleness/audit")
	l.end()
	// What cannot be judged is told too.
	anew()
	l.append([]byte(`{"kind":"Event"}` + "\n"))
	l.await("staleness/audit")
	if s := l.State(); s.Unreadable != 1 || !strings.Contains(s.Problem, "1 line of the audit log could not be judged") {
		t.Errorf("%+v", s)
	}
	l.end()
}
