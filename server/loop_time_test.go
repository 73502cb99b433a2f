package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/store"
)

// brokenKeeper keeps nothing.
type brokenKeeper struct{ slowKeeper }

func (brokenKeeper) Replace(context.Context, string, time.Time, store.Delta) error {
	return errors.New("no space left")
}

// TestTimeIsLookedAt: what time changes is looked at as often where the cluster changes all the time, and where nothing can
// be kept.
func TestTimeIsLookedAt(t *testing.T) {
	changing := func(ctx context.Context, f kube.Follower) error {
		f.Whole(bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot())
		for n := 0; ; n++ {
			f.Changed([]*bailey.Fact{{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "a"}, APIVersion: "v1",
				Object: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"n": strconv.Itoa(n)}}}}}, nil)
			if !pause(ctx, 10*time.Second) {
				return ctx.Err()
			}
		}
	}
	still := func(ctx context.Context, f kube.Follower) error {
		f.Whole(bailey.NewBuilder(bailey.Meta{At: time.Now(), ClusterUID: "c"}).Snapshot())
		<-ctx.Done()
		return ctx.Err()
	}
	for name, c := range map[string]struct {
		source Source
		keeper Keeper
	}{
		"changes":            {changing, &unhurried{}},
		"nothing is kept":    {still, &brokenKeeper{}},
		"changes, none kept": {changing, &brokenKeeper{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looked, most, times := time.Now(), time.Duration(0), 0
				l, news := startLoop(t, LoopOptions{Source: c.source, Accepted: func(context.Context, string, time.Time) (Accepted, error) {
					looked, most, times = time.Now(), max(most, time.Since(looked)), times+1
					return Accepted{}, nil
				}})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				r := &Recorder{Store: c.keeper, Loop: l, News: news, Log: slog.New(slog.DiscardHandler), Now: time.Now}
				go func() { done <- r.Run(ctx) }()
				time.Sleep(time.Hour)
				cancel()
				<-done
				if most = max(most, time.Since(looked)); most > advanceEvery+time.Second {
					t.Errorf("time was not looked at for %s", most)
				}
				if times > 62 {
					t.Errorf("time was looked at %d times in an hour", times)
				}
			})
		})
	}
}
