package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/baileyhq/bailey/derive/imageref"
)

// key names a verdict: of a policy's revision, its rule, the repository and the digest.
// It is a hash, so that all take the same room.
type key [sha256.Size]byte

func keyOf(revision, rule, name, digest string) key {
	return sha256.Sum256([]byte(revision + "\x00" + rule + "\x00" + name + "\x00" + digest))
}

// admitted is a verdict that is remembered as long as there is room and the policy stays.
type admitted struct {
	verdict    Verdict
	at         time.Time // by the monotonic clock
	refreshing atomic.Bool
	pausedTo   atomic.Int64 // when it may be looked at again, Unix nanoseconds; zero: now
}

// refused is remembered briefly: it may be put right at any moment.
type refused struct {
	err error
	at  time.Time
}

// cache remembers verdicts. Those that admit and those that do not have rooms of their
// own, so that whoever asks for images that are refused drives nothing else out.
type cache struct {
	o        *Options
	admitted *lru.Cache[key, *admitted]
	refused  *lru.Cache[key, refused]
	flight   singleflight.Group
	slots    *slots
	// refreshes bounds looking again, which nobody waits for, apart from slots.
	refreshes *semaphore.Weighted
	metrics   *metrics
}

const (
	refreshesAtOnce = 4
	// refreshPause is kept after looking again failed: a registry that is down is not asked
	// with every request.
	refreshPause = time.Minute
)

func newCache(o *Options, m *metrics) (*cache, error) {
	good, err := lru.New[key, *admitted](o.Admitted)
	if err != nil {
		return nil, err
	}
	bad, err := lru.New[key, refused](o.Refused)
	if err != nil {
		return nil, err
	}
	return &cache{o: o, admitted: good, refused: bad, slots: newSlots(o.Verifying), refreshes: semaphore.NewWeighted(refreshesAtOnce), metrics: m}, nil
}

// verdict judges an image with a digest, by what is remembered if possible. When ctx ends
// first, the verification goes on for those who ask again.
func (c *cache) verdict(ctx context.Context, t *Trust, namespace string, image imageref.Ref) (Verdict, error) {
	k := keyOf(t.Revision, t.Rule(namespace, image), image.Name(), image.Digest)
	if a, found := c.admitted.Get(k); found && (a.verdict.Until.IsZero() || c.o.Now().Before(a.verdict.Until)) {
		if time.Since(a.at) > c.o.RefreshFrom && time.Now().UnixNano() >= a.pausedTo.Load() {
			c.refresh(k, a, t, namespace, image)
		}
		c.metrics.hits.Inc()
		return a.verdict, nil
	}
	if r, found := c.refused.Get(k); found && time.Since(r.at) < c.keeps(r.err) {
		c.metrics.hits.Inc()
		return Verdict{}, r.err
	}
	c.metrics.misses.Inc()
	image = cloneRef(image)
	done := c.flight.DoChan(string(k[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), verifyLimit)
		defer cancel()
		if err := c.slots.enter(ctx, namespace); err != nil {
			return Verdict{}, fmt.Errorf("too many images are being verified: %w", err)
		}
		defer c.slots.leave(namespace)
		return c.verify(ctx, k, t, namespace, image)
	})
	select {
	case result := <-done:
		if result.Err != nil {
			return Verdict{}, result.Err
		}
		return result.Val.(Verdict), nil
	case <-ctx.Done():
		return Verdict{}, fmt.Errorf("could not be verified in time; the verification goes on: %w", ctx.Err())
	}
}

// refresh looks at a remembered verdict again, beside its use, unless that is being done
// or too many are looked at.
func (c *cache) refresh(k key, a *admitted, t *Trust, namespace string, image imageref.Ref) {
	if !a.refreshing.CompareAndSwap(false, true) {
		return
	}
	if !c.refreshes.TryAcquire(1) {
		a.refreshing.Store(false)
		return
	}
	image = cloneRef(image)
	go func() {
		defer a.refreshing.Store(false)
		defer c.refreshes.Release(1)
		_, err, _ := c.flight.Do(string(k[:]), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.Background(), verifyLimit)
			defer cancel()
			return c.verify(ctx, k, t, namespace, image)
		})
		if err != nil {
			a.pausedTo.Store(time.Now().Add(refreshPause).UnixNano())
		}
	}()
}

// keeps is how long what is no admission is remembered.
func (c *cache) keeps(err error) time.Duration {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return c.o.RefusedFor
	}
	return c.o.FailedFor
}

// verify asks the trust policy and remembers what it says. A verdict that admits outlives
// a registry that is down: only a verdict takes its place.
func (c *cache) verify(ctx context.Context, k key, t *Trust, namespace string, image imageref.Ref) (verdict Verdict, err error) {
	begin := time.Now()
	defer func() {
		if p := recover(); p != nil { // a defect must refuse this image, not end the gate
			verdict, err = Verdict{}, fmt.Errorf("the verification failed by a defect of Bailey: %v", p)
			c.o.Log.Error("panic while verifying", "image", image.Name(), "panic", p, "stack", string(debug.Stack()))
			c.refused.Add(k, refused{err, time.Now()})
		}
		c.metrics.verified(err, time.Since(begin))
	}()
	verdict, err = t.Verify(ctx, namespace, image)
	if err == nil && !verdict.Until.IsZero() && !c.o.Now().Before(verdict.Until) {
		err = &Refusal{Reason: "was vouched for until " + verdict.Until.UTC().Format(time.RFC3339)}
	}
	if err == nil {
		c.admitted.Add(k, &admitted{verdict: verdict, at: time.Now()})
		c.refused.Remove(k)
		return verdict, nil
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		c.admitted.Remove(k)
	}
	c.refused.Add(k, refused{err, time.Now()})
	return Verdict{}, err
}

// cloneRef lets go of the request's body.
func cloneRef(r imageref.Ref) imageref.Ref {
	return imageref.Ref{Registry: strings.Clone(r.Registry), Repository: strings.Clone(r.Repository), Tag: strings.Clone(r.Tag), Digest: strings.Clone(r.Digest)}
}

// slots bounds how many verifications run at once, and those of one namespace to half of
// them, so that one namespace's strange images do not keep the others waiting.
type slots struct {
	all  *semaphore.Weighted
	half int64

	mu    sync.Mutex
	names map[string]*share
}

// share is one namespace's part, while it uses one.
type share struct {
	room  *semaphore.Weighted
	users int
}

func newSlots(n int) *slots {
	return &slots{all: semaphore.NewWeighted(int64(n)), half: int64(max(1, n/2)), names: map[string]*share{}}
}

func (s *slots) enter(ctx context.Context, namespace string) error {
	s.mu.Lock()
	own := s.names[namespace]
	if own == nil {
		own = &share{room: semaphore.NewWeighted(s.half)}
		s.names[namespace] = own
	}
	own.users++
	s.mu.Unlock()
	if err := own.room.Acquire(ctx, 1); err != nil {
		s.forget(namespace, own)
		return err
	}
	if err := s.all.Acquire(ctx, 1); err != nil {
		own.room.Release(1)
		s.forget(namespace, own)
		return err
	}
	return nil
}

func (s *slots) leave(namespace string) {
	s.mu.Lock()
	own := s.names[namespace]
	s.mu.Unlock()
	s.all.Release(1)
	own.room.Release(1)
	s.forget(namespace, own)
}

func (s *slots) forget(namespace string, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.names, namespace)
	}
}

// tags remembers for a moment which digest a tag has.
type tags struct {
	lru     *lru.Cache[string, resolved]
	flight  singleflight.Group
	slots   *slots
	keep    time.Duration
	keepErr time.Duration
}

type resolved struct {
	digest string
	err    error
	at     time.Time
}

const maxTags = 8192

func newTags(atOnce int, keep, keepErr time.Duration) (*tags, error) {
	cache, err := lru.New[string, resolved](maxTags)
	if err != nil {
		return nil, err
	}
	return &tags{lru: cache, slots: newSlots(atOnce), keep: keep, keepErr: keepErr}, nil
}

// digest gives the digest of the image's tag, as the registry says now or said a moment ago.
func (c *tags) digest(ctx context.Context, t *Trust, namespace string, image imageref.Ref) (string, error) {
	name := image.Name() + ":" + tagOf(image)
	if r, found := c.lru.Get(name); found {
		if age := time.Since(r.at); r.err == nil && age < c.keep || r.err != nil && age < c.keepErr {
			return r.digest, r.err
		}
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("the registry was not asked in time: %w", err)
	}
	image = cloneRef(image)
	image.Tag = tagOf(image)
	done := c.flight.DoChan(name, func() (result any, err error) {
		// As long as the request waits: what waits for a slot is bounded by the requests.
		if err := c.slots.enter(ctx, namespace); err != nil {
			return "", fmt.Errorf("too many tags are being asked for: %w", err)
		}
		defer c.slots.leave(namespace)
		ctx, cancel := context.WithTimeout(context.Background(), verifyLimit)
		defer cancel()
		asked := time.Now()
		defer func() {
			if p := recover(); p != nil {
				result, err = "", fmt.Errorf("asking for the tag failed by a defect of Bailey: %v", p)
			}
			digest, _ := result.(string)
			c.lru.Add(name, resolved{digest, err, asked})
		}()
		digest, err := t.Resolve(ctx, image)
		if err == nil {
			err = validDigest(image, digest)
		}
		return digest, err
	})
	select {
	case result := <-done:
		digest, _ := result.Val.(string)
		return digest, result.Err
	case <-ctx.Done():
		return "", fmt.Errorf("the registry was not heard in time: %w", ctx.Err())
	}
}

// validDigest holds the registry's answer to the grammar: it will be written into a pod.
func validDigest(image imageref.Ref, digest string) error {
	r, err := imageref.Parse(image.Name() + "@" + digest)
	if err != nil || r.Digest != digest {
		return errors.New("the registry names a digest that is none: " + hex.EncodeToString([]byte(digest[:min(len(digest), 64)])))
	}
	return nil
}

func tagOf(image imageref.Ref) string {
	if image.Tag == "" {
		return imageref.DefaultTag
	}
	return image.Tag
}
