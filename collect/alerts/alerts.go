// Package alerts looks where a team looks for its alerts: whether one arrived
// that names a correlation ID.
package alerts

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Watcher is a place where alerts arrive.
type Watcher interface {
	// Await waits until an alert is there that names the correlation ID and is
	// not older than since. It gives the moment when it was seen to be there,
	// by this machine's clock. Without one it gives false when the context
	// ends. An error means that nobody knows: the place could not be read.
	Await(ctx context.Context, correlation string, since time.Time) (at time.Time, found bool, err error)
}

// shortest is the shortest correlation ID: a shorter one would be found in
// what has nothing to do with it.
const shortest = 8

// names reports whether a text holds the whole correlation ID: the number at the end of one may
// begin another's. What stands before it is not looked at, since it may be the end of an escape
// sequence.
func names(text, id string) bool {
	for {
		_, after, found := strings.Cut(text, id)
		if !found || after == "" || !isPart(after[0]) {
			return found
		}
		text = after
	}
}

func isPart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func checkCorrelation(id string) error {
	if len(id) < shortest || strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		return fmt.Errorf("%.40q is no correlation ID: at least %d letters, digits, hyphens, underscores and dots are", id, shortest)
	}
	return nil
}
