package server

import (
	"context"
	"errors"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
)

// Lay says what an object would add to what is there now; see check.Session.Lay. It fails before
// the cluster was judged first, and when ctx ends.
func (l *Loop) Lay(ctx context.Context, before, after *bailey.Fact) (check.Laid, error) {
	type answer struct {
		laid check.Laid
		err  error
	}
	given := answer{err: errors.New("the cluster was not judged yet")}
	l.do(ctx, func() {
		if l.session != nil {
			laid, err := l.session.Lay(ctx, before, after)
			given = answer{laid, err}
		}
	})
	if ctx.Err() != nil { // the task may go on
		return check.Laid{}, context.Cause(ctx)
	}
	return given.laid, given.err
}
