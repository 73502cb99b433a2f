package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// The times of an election. Whoever leads renews its lease every second, and gives up where that
// has failed for leaseRenew. Others see that a lease was not renewed for leaseLife at their next
// look, of which there is one every one to 2.2 seconds: a leader that was killed is followed
// within 12.4 seconds.
const (
	leaseLife  = 8 * time.Second
	leaseRenew = 5 * time.Second
	leaseRetry = time.Second
)

// LeaseTimeout is how long one request about the lease may take, so that several fit into the
// time for renewing it.
const LeaseTimeout = leaseRenew / 2

// Candidate takes part in the election of the replica that leads.
type Candidate struct {
	Lease resourcelock.Interface
	Log   *slog.Logger
	// Fit fails while this replica could not lead: it does not stand then.
	Fit func(ctx context.Context) error
	// Lead does what the leader does, until ctx ends. Where it ends by itself without an error,
	// another replica gets its turn.
	Lead func(ctx context.Context) error

	leads atomic.Bool
}

// Leads reports whether this replica leads, as far as it knows: a process that was paused
// learns later that it does no more, which is why what it writes is in a term of the store.
func (c *Candidate) Leads() bool { return c.leads.Load() }

// Run stands for election until ctx ends or Lead fails. What was led has ended, and the lease is
// given back, when it returns.
func (c *Candidate) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if c.Fit(ctx) == nil {
			if err := c.stand(ctx); err != nil {
				return err
			}
		}
		pause(ctx, leaseRetry) // others first
	}
	return ctx.Err()
}

// stand stands for election until this replica has led.
func (c *Candidate) stand(ctx context.Context) error {
	// The lease outlives ctx until what is led has ended.
	held, resign := context.WithCancel(klog.NewContext(context.WithoutCancel(ctx), logr.Discard()))
	defer resign()
	var mu sync.Mutex
	var led chan error // nil before
	lead := func(leading context.Context) {
		mu.Lock()
		if leading.Err() != nil {
			mu.Unlock()
			return // it was over before it began
		}
		led = make(chan error, 1)
		mu.Unlock()
		defer resign()
		leading, end := context.WithCancel(leading)
		defer end()
		defer context.AfterFunc(ctx, end)()
		c.Log.Info("this replica leads")
		c.leads.Store(true)
		err := c.Lead(leading)
		c.leads.Store(false)
		if leading.Err() != nil {
			err = nil // it was ended
		}
		led <- err
	}
	withdraw := context.AfterFunc(ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		if led == nil {
			resign()
		}
	})
	defer withdraw()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &toldLease{Interface: c.Lease, log: c.Log}, LeaseDuration: leaseLife, RenewDeadline: leaseRenew, RetryPeriod: leaseRetry,
		ReleaseOnCancel: true, Name: "bailey",
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: lead, OnStoppedLeading: func() {}},
	})
	if err != nil {
		return err
	}
	elector.Run(held)
	mu.Lock()
	defer mu.Unlock()
	if led == nil {
		return nil
	}
	err = <-led
	c.Log.Info("this replica leads no more")
	return err
}

// toldLease says in the log when the lease can no longer be read or written, and why. That
// another replica was faster is no failure.
type toldLease struct {
	resourcelock.Interface
	log    *slog.Logger
	failed bool
}

func (t *toldLease) told(err error) error {
	failed := err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !errors.Is(err, context.Canceled)
	if failed && !t.failed {
		t.log.Error("the lease by which replicas agree who leads cannot be had, and will be tried for", "lease", t.Describe(), "error", err)
	}
	t.failed = failed
	return err
}

// Get is of resourcelock.Interface.
func (t *toldLease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := t.Interface.Get(ctx)
	return record, raw, t.told(err)
}

// Create is of resourcelock.Interface.
func (t *toldLease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return t.told(t.Interface.Create(ctx, record))
}

// Update is of resourcelock.Interface.
func (t *toldLease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return t.told(t.Interface.Update(ctx, record))
}
