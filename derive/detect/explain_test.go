package detect_test

import (
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/detect"
)

func TestExplain(t *testing.T) {
	l := detect.NewLog()
	event := func(after time.Duration, verb, resource, name string, code int) {
		l.Add(&detect.Event{Verb: verb, Stage: detect.StageResponseComplete, Received: start.Add(after),
			Object: detect.ObjectRef{Resource: resource, Namespace: "shop", Name: name}, Status: detect.Status{Code: code}})
	}
	event(0, "get", "pods", "x", 200)
	event(10*time.Second, "create", "pods", "web", 201)
	event(11*time.Second, "create", "pods", "refused", 403)
	event(20*time.Second, "create", "pods", "", 201) // generateName
	event(30*time.Second, "patch", "pods", "applied", 201)
	event(time.Minute, "get", "pods", "x", 200)
	for _, c := range []struct {
		resource, name string
		created        time.Duration
		want           detect.Explanation
	}{
		{"pods", "web", 10 * time.Second, detect.Explained},
		{"pods", "applied", 30 * time.Second, detect.Explained},
		{"pods", "refused", 11 * time.Second, detect.Unexplained},
		{"pods", "planted", 40 * time.Second, detect.Unexplained},
		{"pods", "web-x7k2p", 20 * time.Second, detect.Unknown},
		{"pods", "old", -time.Hour, detect.Unknown},
		{"pods", "new", time.Hour, detect.Unknown},
		{"secrets", "planted", 40 * time.Second, detect.Unknown},
	} {
		got, why := l.Explain(detect.Stored{Resource: c.resource, Namespace: "shop", Name: c.name, Created: start.Add(c.created)})
		if got != c.want || (why != "") != (got == detect.Unknown) {
			t.Errorf("%s %s: %s, want %s: %q", c.resource, c.name, got, c.want, why)
		}
	}
	if got, _ := detect.NewLog().Explain(detect.Stored{Resource: "pods", Name: "x", Created: start}); got != detect.Unknown {
		t.Errorf("without a log: %s", got)
	}
}
