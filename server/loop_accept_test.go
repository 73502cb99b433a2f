package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
)

// reading is a source that is read anew with each snapshot that is sent.
func reading(read <-chan *bailey.Snapshot) Source {
	return func(ctx context.Context, f kube.Follower) error {
		for {
			select {
			case s := <-read:
				f.Whole(s)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// TestLoopWithoutWhatCounts: while waivers cannot be read, those before count on, also for a cluster
// that is read anew; before any were there is no report; and what comes back is taken in soon.
func TestLoopWithoutWhatCounts(t *testing.T) {
	yes := true
	b := bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"})
	b.Saw(bailey.KindPod, "")
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "bad"}, APIVersion: "v1", Object: &corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}})
	snapshot := b.Snapshot()
	read := make(chan *bailey.Snapshot)
	var away atomic.Bool
	away.Store(true)
	l, news := startLoop(t, LoopOptions{
		Source: reading(read),
		Accepted: func(_ context.Context, _ string, at time.Time) (Accepted, error) {
			if away.Load() {
				return Accepted{}, errors.New("the store is away")
			}
			return Accepted{Waivers: []bailey.Waiver{{Rule: "compute/pod-security/*", Reason: "r", Owner: "o", Expires: at.Add(time.Hour)}}}, nil
		}})
	waived := func() (n int) {
		for _, f := range l.Join(t.Context()).Findings {
			if f.Waiver != nil {
				n++
			}
		}
		return n
	}
	read <- snapshot
	time.Sleep(2 * reportSoon)
	if _, version := l.Report(); version != 0 || l.Sight().Ready || l.Join(t.Context()) != nil {
		t.Error("there is a report before it is known what is waived")
	}
	away.Store(false)
	awaitNews(t, news, 0, func(i Item) bool { return i.Kind == NewsReport })
	want := waived()
	if want == 0 {
		t.Fatal("nothing is waived")
	}
	away.Store(true)
	before := news.Last()
	read <- snapshot
	awaitNews(t, news, before, func(i Item) bool { return i.Kind == NewsReport })
	if n := waived(); n != want {
		t.Errorf("while waivers cannot be read %d findings are waived, and %d were", n, want)
	}
}

// TestLoopWhileTheStoreHangs: a store that does not answer holds the judging up for seconds, and is asked
// ever more rarely.
func TestLoopWhileTheStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan *bailey.Snapshot)
		tries := 0 // by the loop alone
		l, _ := startLoop(t, LoopOptions{
			Source: reading(read),
			Accepted: func(ctx context.Context, _ string, _ time.Time) (Accepted, error) {
				tries++
				<-ctx.Done()
				return Accepted{}, ctx.Err()
			}})
		read <- bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot()
		time.Sleep(acceptMost + time.Second)
		if l.Cluster() != "c" {
			t.Error("the loop waits for the store")
		}
		time.Sleep(30 * time.Minute)
		asked := 0
		l.do(t.Context(), func() { asked = tries })
		if asked < 25 || asked > 35 {
			t.Errorf("in half an hour it was asked %d times, want about 30", asked)
		}
	})
}

// TestLoopWhileTheStoreIsSlow: a store that needs longer than what the loop waits for at first is not given up.
func TestLoopWhileTheStoreIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan *bailey.Snapshot, 1)
		read <- bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot()
		l, _ := startLoop(t, LoopOptions{
			Source: reading(read),
			Accepted: func(ctx context.Context, _ string, _ time.Time) (Accepted, error) {
				select {
				case <-time.After(3 * acceptMost):
					return Accepted{}, nil
				case <-ctx.Done():
					return Accepted{}, ctx.Err()
				}
			}})
		time.Sleep(10 * time.Second)
		if l.Sight().Ready {
			t.Error("there is a report without the waivers")
		}
		time.Sleep(2 * time.Minute)
		if !l.Sight().Ready {
			t.Error("there is no report, though the store answers in time")
		}
	})
}
