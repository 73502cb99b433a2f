package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/derive/stakes"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

// patience bounds each wait of these tests.
const patience = time.Minute

func startLoop(t *testing.T, o LoopOptions) (*Loop, *News) {
	t.Helper()
	news := NewNews()
	o.Controls, o.Weigher, o.Log = controls.All(), stakes.Weigher, slog.New(slog.DiscardHandler)
	l := NewLoop(o, news)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the loop does not end")
		}
	})
	return l, news
}

// awaitNews waits for a piece of news behind a number that is wanted.
func awaitNews(t *testing.T, n *News, after uint64, wanted func(Item) bool) Item {
	t.Helper()
	end := time.After(patience)
	for {
		items, _, more := n.After(after)
		for _, item := range items {
			if wanted(item) {
				return item
			}
			after = item.Number
		}
		select {
		case <-more:
		case <-end:
			t.Fatal("the news does not come")
		}
	}
}

// TestLoop: a change in a cluster is judged, told, and in the next report, and what the loop
// says in the end is what a scan says.
func TestLoop(t *testing.T) {
	c := devclustertest.Shared(t)
	source := func(ctx context.Context, f kube.Follower) error {
		return kube.Follow(ctx, kube.FollowOptions{Options: kube.Options{Kubeconfig: c.Kubeconfig}}, f)
	}
	l, news := startLoop(t, LoopOptions{Source: source})
	awaitNews(t, news, 0, func(i Item) bool { return i.Kind == NewsReport })
	yes := true
	laid, err := l.Lay(t.Context(), nil, &bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "default", Name: "laid"}, APIVersion: "v1", Object: &corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}})
	if err != nil || !slices.ContainsFunc(laid.Added, func(f bailey.Finding) bool { return f.Rule == "compute/pod-security/privileged" }) {
		t.Errorf("a pod that is not there adds %+v, %v", laid.Added, err)
	}
	ns := devclustertest.Namespace(t, nil)
	before := news.Last()
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "bad"},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "x", "securityContext": map[string]any{"privileged": true}}}}}
	if err := c.Do(t.Context(), http.MethodPost, "/api/v1/namespaces/"+ns+"/pods", pod, nil); err != nil {
		t.Fatal(err)
	}
	ref := bailey.Ref{Kind: bailey.KindPod, Namespace: ns, Name: "bad"}
	told := awaitNews(t, news, before, func(i Item) bool {
		j, ok := i.Data.(Judged)
		return ok && j.Object == ref
	})
	if j := told.Data.(Judged); j.Findings == 0 || j.Worst < bailey.SeverityHigh || told.Namespace != ns {
		t.Errorf("told %+v", told)
	}
	privileged := func(f bailey.Finding) bool { return f.Object == ref && f.Rule == "compute/pod-security/privileged" }
	awaitNews(t, news, before, func(i Item) bool {
		r, _ := l.Report()
		return i.Kind == NewsReport && slices.ContainsFunc(r.Findings, privileged)
	})
	if err := c.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/"+ns+"/pods/bad", map[string]any{"gracePeriodSeconds": 0}, nil); err != nil {
		t.Fatal(err)
	}
	awaitNews(t, news, before, func(i Item) bool {
		r, _ := l.Report()
		return i.Kind == NewsReport && !slices.ContainsFunc(r.Findings, privileged)
	})

	var difference string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s, err := kube.Collect(t.Context(), kube.Options{Kubeconfig: c.Kubeconfig})
		if err != nil {
			t.Fatal(err)
		}
		want, err := check.Judge(t.Context(), s, controls.All(), check.Options{Weigher: stakes.Weigher})
		if err != nil {
			t.Fatal(err)
		}
		have, _ := l.Report()
		if difference = differenceOf(have, want); difference == "" {
			return
		}
	}
	t.Error(difference)
}

func differenceOf(have, want *bailey.Report) string {
	ids := func(r *bailey.Report) (all []string) {
		for _, f := range r.Findings {
			all = append(all, f.ID+" "+f.Rule+" "+f.Object.String()+" "+f.Severity.String())
		}
		return all
	}
	if h, w := ids(have), ids(want); !slices.Equal(h, w) {
		for _, id := range h {
			if !slices.Contains(w, id) {
				return "only the loop: " + id
			}
		}
		for _, id := range w {
			if !slices.Contains(h, id) {
				return "only the scan: " + id
			}
		}
		return "another order"
	}
	for i := range want.Verdicts {
		if i >= len(have.Verdicts) || have.Verdicts[i].Control != want.Verdicts[i].Control || have.Verdicts[i].Scope != want.Verdicts[i].Scope || have.Verdicts[i].Rung != want.Verdicts[i].Rung {
			return "the verdict " + want.Verdicts[i].Control + " " + want.Verdicts[i].Scope.String()
		}
	}
	return ""
}

// TestNews: a reader that is too far behind is told so, and one that is ahead belongs to
// another process.
func TestNews(t *testing.T) {
	n := NewNews()
	for range newsKept + 10 {
		n.Tell(Item{Kind: NewsSight})
	}
	items, missed, _ := n.After(5)
	if !missed || len(items) != newsKept || items[0].Number != 11 {
		t.Errorf("%d items from %d on, missed %t", len(items), items[0].Number, missed)
	}
	if items, missed, _ := n.After(newsKept + 10); missed || len(items) != 0 {
		t.Errorf("%d items, missed %t", len(items), missed)
	}
	if _, missed, _ := n.After(1 << 40); !missed {
		t.Error("a reader of another process is told nothing")
	}
}
