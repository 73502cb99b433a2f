package server

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/cache"
)

const (
	// awayKept is how long what the cluster said lets somebody look while it does not answer, and
	// awayPause how long it is not asked again then.
	awayKept, awayPause = 15 * time.Minute, 5 * time.Second
	// metricsKept is how long metrics are read on while it does not answer, which they tell of.
	// metricsPatience bounds each of the two questions that a scrape waits for, in less than its own 10 seconds.
	metricsKept, metricsPatience = 24 * time.Hour, 3 * time.Second
)

type scrapeKey struct{}

// scraping gives the context of a request that reads metrics.
func scraping(ctx context.Context) context.Context { return context.WithValue(ctx, scrapeKey{}, true) }

// isScrape reports whether a request reads metrics.
func isScrape(ctx context.Context) bool { return ctx.Value(scrapeKey{}) != nil }

// remembered is an answer of the cluster. It counts until then, and longer only while the cluster
// does not answer.
type remembered[T any] struct {
	answer T
	said   time.Time
	until  time.Time
}

// recall gives what is remembered of something that was asked about.
func recall[T any](known *cache.LRUExpireCache, key any) (was remembered[T], found bool) {
	kept, found := known.Get(key)
	if found {
		was = kept.(remembered[T])
	}
	return was, found
}

// breaker keeps requests from waiting, one after the other, for a cluster that does not answer.
type breaker struct {
	now func() time.Time

	mu    sync.Mutex
	err   error
	again time.Time
}

// ask asks the cluster, unless it did not answer just now, and reports whether it answered. For the
// others it is away only if it did not answer about what was known: strangers choose what they ask,
// and a token may take it long.
func (a *breaker) ask(ctx context.Context, known bool, do func() error) (answered bool, err error) {
	a.mu.Lock()
	err, again := a.err, a.again
	a.mu.Unlock()
	if err != nil && a.now().Before(again) {
		return false, err
	}
	err = do()
	if ctx.Err() != nil { // whoever asked has left
		return true, err
	}
	answered = err == nil || errors.Is(err, ErrUnknownToken) || isAnswer(err)
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case answered:
		a.err = nil
	case known:
		a.err, a.again = err, a.now().Add(awayPause)
	}
	return answered, err
}

// open reports that the cluster did not answer when it was asked last.
func (a *breaker) open() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err != nil
}

// isAnswer reports whether an error is what an API server says, which then is not away. One that
// has too much to do to look at a question has not answered it.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err) && !apierrors.IsTooManyRequests(err)
}
