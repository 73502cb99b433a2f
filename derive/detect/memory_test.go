package detect_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/baileyhq/bailey/derive/detect"
)

// TestAnswerAndStateTold wants the same request told again when it was answered
// otherwise, and when what it undoes was set again meanwhile.
func TestAnswerAndStateTold(t *testing.T) {
	d := find(t, "pod-security-lowered")
	const label = `"pod-security.kubernetes.io/enforce":`
	patch := func(level string) string {
		return `{"verb":"patch","user":{"username":"jane"},"objectRef":{"resource":"namespaces","namespace":"shop","name":"shop"},"requestObject":{"metadata":{"labels":{` + label + level + `}}}}`
	}
	s := newSet(t)
	for n, c := range []struct {
		what, level string
		code        int
		after       time.Duration
		want        int
	}{
		{"lowered, refused", `"privileged"`, 403, 0, 1},
		{"restricted", `"restricted"`, 200, 6 * time.Minute, 0},
		{"lowered, accepted", `"privileged"`, 200, 10 * time.Minute, 1},
		{"restricted again", `"restricted"`, 200, 20 * time.Minute, 0},
		{"lowered again", `"privileged"`, 200, 30 * time.Minute, 1},
		{"removed", `null`, 200, 40 * time.Minute, 0},
		{"restricted once more", `"restricted"`, 200, 50 * time.Minute, 0},
		{"refused again", `"privileged"`, 403, 60 * time.Minute, 1},
		{"refused as before", `"privileged"`, 403, 70 * time.Minute, 0},
	} {
		e := sample(t, d, patch(c.level), n)
		e.Received, e.Status.Code = start.Add(c.after), c.code
		if got := len(s.Match(e)); got != c.want {
			t.Errorf("%s: %d alerts, want %d", c.what, got, c.want)
		}
	}
}

// TestSharedAddresses wants no alert for every node behind two load balancers that
// hide where nodes are, and one for the thief of a node's key behind neither.
func TestSharedAddresses(t *testing.T) {
	d := find(t, "credential-replay")
	s, n := newSet(t), 0
	send := func(node int, address string, at time.Duration) []detect.Alert {
		n++
		e := sample(t, d, fmt.Sprintf(`{"verb":"list","user":{"username":"system:node:n%d"},"userAgent":"kubelet/v1.37.2","sourceIPs":[%q],"requestURI":"/api/v1/pods","objectRef":{"resource":"pods"}}`, node, address), n)
		e.Received = start.Add(at)
		return s.Match(e)
	}
	first, later := 0, 0
	for second := range 3600 / 10 {
		for node := range 20 {
			got := len(send(node, fmt.Sprintf("10.0.0.%d", 1+(second+node)%2), time.Duration(second)*10*time.Second))
			if second < 6 {
				first += got
			} else {
				later += got
			}
		}
	}
	if first > 2 || later > 0 {
		t.Errorf("20 nodes behind two load balancers: %d alerts in the first minute, %d in the hour after", first, later)
	}
	if got := send(7, "10.9.9.9", time.Hour); len(got) != 0 {
		t.Errorf("one place of its own beside shared ones: %v", got)
	}
	if got := append(send(8, "10.9.9.10", time.Hour), send(8, "10.9.9.11", time.Hour)...); len(got) != 1 {
		t.Errorf("a node's key in two places of its own: %v", got)
	}
}
