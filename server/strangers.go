package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
)

// The errors of who is not asked about.
var (
	// ErrTooMany tells that too many wrong tokens or links came from an address.
	ErrTooMany = errors.New("too many wrong tokens came from this address")
	// ErrCrowded tells that others are asked about now.
	ErrCrowded = errors.New("too many tokens that are not known are asked about at once")
)

const (
	// strangersAtOnce bounds the tokens of strangers that are asked about at once, strangersEach those
	// of one address, and strangerWait is how long one waits for its turn.
	strangersAtOnce, strangersEach, strangerWait = 4, 2, 2 * time.Second
	// acquainted is how long a token that was good is no stranger's, and refusedKept how long one
	// that was not is not asked about again.
	acquainted, refusedKept = 15 * time.Minute, 10 * time.Second
)

// strangers are who shows a token that nothing is known of. Asking whose it is costs the cluster
// more than it costs them to send it: they are asked about a few at a time, apart from whoever
// was known before, and an address that sent too many wrong ones is not.
type strangers struct {
	once  sync.Once
	turns chan struct{}
	// good and refused hold hashes of tokens; one cannot push the other out.
	good, refused *cache.LRUExpireCache
}

func (s *strangers) begin(now func() time.Time) {
	s.once.Do(func() {
		s.turns = make(chan struct{}, strangersAtOnce)
		s.good = cache.NewLRUExpireCacheWithClock(tokensKept, ticking(now))
		s.refused = cache.NewLRUExpireCacheWithClock(tokensKept, ticking(now))
	})
}

// whose tells whose a token is that came from an address.
func (f *Front) whose(ctx context.Context, from netip.Prefix, token string) (Who, error) {
	if f.Tokens == nil {
		return Who{}, ErrUnknownToken
	}
	if l, ok := f.Tokens.(*LocalToken); ok && l.is(token) {
		return localAdministrator, nil // nobody is asked
	}
	s, k := &f.strangers, sha256.Sum256([]byte(token))
	s.begin(f.Now)
	if _, found := s.refused.Get(k); found {
		return Who{}, ErrUnknownToken
	}
	if _, found := s.good.Get(k); !found {
		try, err := f.limits.try(from, f.Now())
		if err != nil {
			return Who{}, err
		}
		who, err := f.stranger(ctx, try.turns, token)
		try.end(errors.Is(err, ErrUnknownToken), f.Now())
		return who, s.remember(k, err)
	}
	who, err := f.Tokens.Whose(ctx, token)
	return who, s.remember(k, err)
}

// stranger asks whose a token is when it is its address's turn, and its own. What the cluster is
// asked is asked to the end: whoever hangs up before the answer is wrong all the same.
func (f *Front) stranger(ctx context.Context, address chan struct{}, token string) (Who, error) {
	wait := time.NewTimer(strangerWait)
	defer wait.Stop()
	for _, turns := range []chan struct{}{address, f.strangers.turns} {
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-wait.C:
			return Who{}, ErrCrowded
		case <-ctx.Done():
			return Who{}, ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
	defer cancel()
	return f.Tokens.Whose(ctx, token)
}

// remember keeps how an answer about the token of a hash ended, which it gives back.
func (s *strangers) remember(k [sha256.Size]byte, err error) error {
	switch {
	case err == nil:
		s.good.Add(k, nil, acquainted)
	case errors.Is(err, ErrUnknownToken):
		s.good.Remove(k)
		s.refused.Add(k, nil, refusedKept)
	}
	return err
}
