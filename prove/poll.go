package prove

import (
	"context"
	"time"
)

// poll asks at once, and again at intervals until an answer is as wanted. It gives the
// last answer when so much time is over (at once, for none) or the context ends.
func poll(ctx context.Context, within, every time.Duration, ask func() answer, wanted func(answer) bool) (a answer, got bool) {
	for begin := time.Now(); ; {
		a = ask()
		if wanted(a) {
			return a, true
		}
		if time.Since(begin) >= within || ctx.Err() != nil {
			return a, false
		}
		select {
		case <-ctx.Done():
			return a, false
		case <-time.After(every):
		}
	}
}
