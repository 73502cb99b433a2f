package main

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/store"
)

const (
	// leaseName is the Lease of the replica that leads.
	leaseName = "bailey"
	// podNamespaceFile tells a pod its namespace.
	podNamespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// newLease gives the Lease by which replicas agree on the one that leads.
func newLease(config *rest.Config, namespace string) (*resourcelock.LeaseLock, error) {
	if namespace == "" {
		own, err := readBounded(podNamespaceFile, 1<<10)
		if err != nil {
			return nil, usageError("--replicate wants the namespace of a Lease, and this is no pod that has one\nhint: --lease-namespace NAME")
		}
		namespace = strings.TrimSpace(string(own))
	}
	config = rest.CopyConfig(config)
	config.Timeout = server.LeaseTimeout
	config.UserAgent = "bailey/" + version
	client, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	return &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: leaseName, Namespace: namespace}, Client: client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + rand.Text()}}, nil
}

// leads reports whether this process writes the history.
func (s *serving) leads() bool { return s.candidate == nil || s.candidate.Leads() }

// stand takes part in the election of the replica that leads. Each watches the cluster and judges
// it all the time, so that whoever comes to lead knows at once what the one before may have missed.
func (s *serving) stand(ctx context.Context) error {
	if err := s.awaitCluster(ctx); err != nil {
		return err
	}
	return s.candidate.Run(ctx)
}

// leadInTurn leads until another does.
func (s *serving) leadInTurn(ctx context.Context) error {
	err := s.lead(ctx)
	if errors.Is(err, store.ErrFenced) {
		s.log.Warn("another replica leads: nothing more is written here", "error", errors.Unwrap(err))
		return nil
	}
	if errors.Is(err, server.ErrSilent) {
		s.log.Error("this replica has lost its database, and lets another lead", "error", err)
		return nil
	}
	return err
}

// lookOut has alerts raised and delivered while nobody leads, since no replica sees the cluster. Nothing else is
// written meanwhile.
func (s *serving) lookOut(ctx context.Context) error {
	l := &server.Lookout{Store: s.store, Loop: s.loop, Log: s.log, Now: s.app.now, Leads: s.leads, Alert: func(ctx context.Context, kept *store.Store) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range []part{s.raiser(kept).Run, s.notifying(kept)} {
			group.Go(func() error { return ended(ctx, run(ctx)) })
		}
		return group.Wait()
	}}
	return l.Run(ctx)
}

// answers fails where the store does not answer.
func (s *serving) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	return s.store.Writable(ctx)
}

// fellowEvidence remembers the evidence in the store, which is that of all replicas. Whoever
// led when it was made has verified it; the files that were signed are where it was made.
type fellowEvidence struct {
	mu    sync.Mutex
	seq   int64 // of the newest
	known []bailey.Evidence
}

// join adds to evidence what other replicas made of the cluster within the horizon.
func (f *fellowEvidence) join(ctx context.Context, s *store.Store, uid string, own []bailey.Evidence, at time.Time) ([]bailey.Evidence, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	since := at.Add(-evidenceHorizon)
	newest := f.seq
	var new []bailey.Evidence
	q := store.EvidenceQuery{Cluster: uid, Access: store.Everything(), Limit: 1000}
	for more := true; more; {
		page, err := s.Evidence(ctx, q)
		if errors.Is(err, store.ErrNotFound) {
			break // nobody has led yet
		}
		if err != nil {
			return own, err
		}
		for _, e := range page.Items {
			if more = e.Seq > f.seq && !e.At.Before(since); !more {
				break
			}
			newest = max(newest, e.Seq)
			new = append(new, e.Evidence)
		}
		q.After = page.Next
		more = more && page.Next != ""
	}
	f.seq = newest
	there := make(map[string]bool, len(own))
	for _, e := range own {
		there[e.ID] = true
	}
	kept := new
	for _, e := range f.known {
		if !e.At.Before(since) {
			kept = append(kept, e)
		}
	}
	if len(new) > 0 {
		settled := map[string]bool{}
		for _, ids := range check.Settled(controls.All(), kept, at.Add(-archiveMargin)) {
			for _, id := range ids {
				settled[id] = true
			}
		}
		kept = slices.DeleteFunc(kept, func(e bailey.Evidence) bool { return settled[e.ID] })
	}
	f.known = kept
	for _, e := range kept {
		if !there[e.ID] {
			own = append(own, e)
		}
	}
	return own, nil
}
