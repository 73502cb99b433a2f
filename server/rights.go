package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// Group is the API group of the names that RBAC rules grant Bailey's pages by. Nothing serves
// it: it exists in rules only.
//
//	rules:
//	- {apiGroups: [bailey.dev], resources: [reports], verbs: [get]}
const Group = "bailey.dev"

// Right is one thing that somebody may do: a verb on one of Bailey's resource names, and where
// Name is not empty on the one of that name; or on a path that is no resource (nonResourceURLs).
type Right struct{ Verb, Resource, Name, Path string }

// The rights that are asked for.
var (
	// ReadReports shows findings, verdicts and evidence: of a namespace where the grant is a
	// Role's, of everything where it is a ClusterRole's.
	ReadReports = Right{Verb: "get", Resource: "reports"}
	// ReadLedger shows the ledger's entries, which name the whole cluster.
	ReadLedger = Right{Verb: "get", Resource: "ledgers"}
	// RunExperiments begins and stops experiments.
	RunExperiments = Right{Verb: "create", Resource: "experiments"}
	// WriteWaivers adds and ends waivers.
	WriteWaivers = Right{Verb: "create", Resource: "waivers"}
	// PlanGuards computes what guards would refuse.
	PlanGuards = Right{Verb: "get", Resource: "guards"}
	// ReadMetrics shows /metrics: by the rule that lets Prometheus read those of Kubernetes itself.
	ReadMetrics = Right{Verb: "get", Path: MetricsPath}
	// ReadClusters shows everything of clusters that spokes push; see ReadCluster.
	ReadClusters = Right{Verb: "get", Resource: "clusters"}
)

// ReadCluster shows everything of one cluster that a spoke pushes. It is granted by the cluster's
// UID in resourceNames, or by a rule without them.
func ReadCluster(uid string) Right {
	return Right{Verb: ReadClusters.Verb, Resource: ReadClusters.Resource, Name: uid}
}

// Who is the person or program that asks.
type Who struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
	// Local is the administrator of this machine, who came by the one-time link: no cluster is
	// asked what they may do.
	Local bool
}

// Anonymous reports whether nobody is known.
func (w Who) Anonymous() bool { return w.Name == "" && !w.Local }

// key names the asker for caches.
func (w Who) key() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", w.Name, w.UID, w.Groups, w.Extra))
}

// Namespaces are those that somebody may see.
type Namespaces struct {
	// All tells that everything may be seen, what belongs to no namespace included.
	All bool
	// Names are the namespaces that may be seen, sorted; none means nothing.
	Names []string
}

// Has reports whether what belongs to a namespace may be seen; an empty one is the cluster's.
func (n Namespaces) Has(namespace string) bool {
	if n.All {
		return true
	}
	_, found := slices.BinarySearch(n.Names, namespace)
	return found && namespace != ""
}

// Rights says who may do what.
type Rights interface {
	// May reports whether a right is granted in a namespace, or for the whole cluster if empty.
	May(ctx context.Context, who Who, right Right, namespace string) (bool, error)
	// Sees gives those of the namespaces that may be read.
	Sees(ctx context.Context, who Who, namespaces []string) (Namespaces, error)
}

// LocalRights lets the local administrator do everything, and nobody else anything.
type LocalRights struct{}

// May is of Rights.
func (LocalRights) May(_ context.Context, who Who, _ Right, _ string) (bool, error) {
	return who.Local, nil
}

// Sees is of Rights.
func (LocalRights) Sees(_ context.Context, who Who, _ []string) (Namespaces, error) {
	return Namespaces{All: who.Local}, nil
}

const (
	// reviewKept is how long an answer of the cluster counts: a grant that is taken away holds
	// on for so long. refusalKept is how long a refusal does: a grant that is given comes soon.
	reviewKept  = 30 * time.Second
	refusalKept = 5 * time.Second
	// refusalEach is added up over the namespaces that somebody is asked about, so that one person's
	// refusals are asked for at most ten times a second; refusalMost bounds how long they count then.
	refusalEach = 100 * time.Millisecond
	refusalMost = time.Minute
	// reviewsAtOnce bounds the questions under way for one asker, and reviewsOfAll those for all.
	reviewsAtOnce = 8
	reviewsOfAll  = 32
	// reviewsKept bounds the answers that are remembered.
	reviewsKept = 200_000
)

// ClusterRights asks the cluster by SubjectAccessReviews, so that its RBAC rules decide.
type ClusterRights struct {
	client authorizationclient.SubjectAccessReviewInterface
	known  *cache.LRUExpireCache // whether what is reviewed is granted: remembered[bool]
	turns  chan struct{}
	away   breaker
}

// NewClusterRights asks by the client.
func NewClusterRights(client authorizationclient.SubjectAccessReviewInterface, now func() time.Time) *ClusterRights {
	return &ClusterRights{client: client, known: cache.NewLRUExpireCacheWithClock(reviewsKept, ticking(now)), turns: make(chan struct{}, reviewsOfAll), away: breaker{now: now}}
}

// Away reports that the cluster did not answer when it was asked last: for a while then, what it said before lets somebody look, and
// nobody act.
func (c *ClusterRights) Away() bool { return c.away.open() }

type reviewed struct {
	who       [sha256.Size]byte
	right     Right
	namespace string
}

// May is of Rights.
func (c *ClusterRights) May(ctx context.Context, who Who, right Right, namespace string) (bool, error) {
	return c.may(ctx, who, right, namespace, refusalKept)
}

// may asks whether a right is granted, and remembers a refusal for the time given.
func (c *ClusterRights) may(ctx context.Context, who Who, right Right, namespace string, refused time.Duration) (bool, error) {
	if who.Local {
		return true, nil
	}
	if who.Anonymous() {
		return false, nil
	}
	k := reviewed{who.key(), right, namespace}
	now := c.away.now()
	was, found := recall[bool](c.known, k)
	if found && now.Before(was.until) {
		return was.answer, nil
	}
	var allowed bool
	answered, err := c.away.ask(ctx, true, func() (err error) {
		allowed, err = c.review(ctx, who, right, namespace)
		return err
	})
	switch {
	case !answered && found && right.Verb == "get": // to look, and not to act
		return was.answer, nil
	case err != nil:
		return false, fmt.Errorf("the cluster could not be asked what %s may do: %w", who.Name, err)
	}
	kept, held := refused, awayKept
	if allowed {
		kept = reviewKept
		if right == ReadMetrics {
			held = metricsKept
		}
	}
	c.known.Add(k, remembered[bool]{allowed, now, now.Add(kept)}, held)
	return allowed, nil
}

// review asks the cluster.
func (c *ClusterRights) review(ctx context.Context, who Who, right Right, namespace string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: who.Name, UID: who.UID, Groups: who.Groups}}
	if right.Path != "" {
		review.Spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Path: right.Path, Verb: right.Verb}
	} else {
		review.Spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Group: Group, Resource: right.Resource, Verb: right.Verb, Name: right.Name, Namespace: namespace}
	}
	if len(who.Extra) > 0 {
		review.Spec.Extra = map[string]authorizationv1.ExtraValue{}
		for name, values := range who.Extra {
			review.Spec.Extra[name] = values
		}
	}
	select {
	case c.turns <- struct{}{}:
		defer func() { <-c.turns }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if right == ReadMetrics {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, metricsPatience)
		defer cancel()
	}
	got, err := c.client.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return got.Status.Allowed && !got.Status.Denied, nil
}

// Sees is of Rights.
func (c *ClusterRights) Sees(ctx context.Context, who Who, namespaces []string) (Namespaces, error) {
	all, err := c.May(ctx, who, ReadReports, "")
	if err != nil || all {
		return Namespaces{All: all}, err
	}
	if who.Anonymous() {
		return Namespaces{}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	refused := max(refusalKept, min(refusalMost, time.Duration(len(namespaces))*refusalEach))
	seen := make([]bool, len(namespaces))
	turns := make(chan struct{}, reviewsAtOnce)
	var group sync.WaitGroup
	for i, name := range namespaces {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			allowed, err := c.may(ctx, who, ReadReports, name, refused)
			if err != nil {
				cancel(err)
			}
			seen[i] = allowed
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return Namespaces{}, err
	}
	var n Namespaces
	for i, name := range namespaces {
		if seen[i] {
			n.Names = append(n.Names, name)
		}
	}
	slices.Sort(n.Names)
	return n, nil
}
