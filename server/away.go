package server

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// awayKept is how long what the cluster said lets somebody look while it does not answer, and
	// awayPause how long it is not asked again then.
	awayKept, awayPause = 15 * time.Minute, 5 * time.Second
)

// remembered is an answer of the cluster. It counts until then, and longer only while the cluster
// does not answer.
type remembered[T any] struct {
	answer T
	until  time.Time
}

// breaker keeps requests from waiting, one after the other, for a cluster that does not answer.
type breaker struct {
	now func() time.Time

	mu    sync.Mutex
	err   error
	again time.Time
}

// ask asks the cluster, unless it did not answer just now, and reports whether it answered.
func (a *breaker) ask(ctx context.Context, do func() error) (answered bool, err error) {
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
	if a.err = nil; !answered {
		a.err, a.again = err, a.now().Add(awayPause)
	}
	return answered, err
}

// isAnswer reports whether an error is what an API server says, which then is not away.
func isAnswer(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err)
}
