// Package gate is the admission webhook that lets only images in that somebody vouches
// for, as the trust policy asks. It pins tags to digests, judges every image that a
// request brings in, and refuses what it cannot decide. docs/gate.md describes it.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/imageref"
)

// Bounds that are no options.
const (
	// maxImages bounds the images of one object.
	maxImages = 500
	// atOnce is how many images of one request are judged at a time.
	atOnce = 8
	// verifyLimit bounds one verification, which goes on when the request that began it
	// has been answered: the next try finds its verdict.
	verifyLimit = 60 * time.Second
)

// Trust is what the gate judges images by: a trust policy, and whoever asks registries.
// It does not change: another policy is another Trust. Its functions may be called from
// many goroutines.
type Trust struct {
	// Revision names the policy's content and that of its keys and trusted roots. A
	// verdict holds for one revision.
	Revision string
	// Rule names what the policy asks of an image in a namespace. Under one rule an image
	// of one repository and digest has one verdict.
	Rule func(namespace string, image imageref.Ref) string
	// Unnamed reports whether no rule of the policy names the image, and then what it says
	// of such images: nil admits. It asks no registry, and so comes first.
	Unnamed func(namespace string, image imageref.Ref) (unnamed bool, refusal error)
	// Resolve asks the registry which digest the image's tag has now.
	Resolve func(ctx context.Context, image imageref.Ref) (digest string, err error)
	// Verify judges an image with a digest. An error that is a *Refusal is a verdict; any
	// other means that it could not be decided.
	Verify func(ctx context.Context, namespace string, image imageref.Ref) (Verdict, error)
}

// Verdict is that an image may come in.
type Verdict struct {
	By string // who vouches for it, or why nobody has to
	// Until is when the verdict ends, such as when a waiver of the policy does; zero if
	// it holds as long as the policy.
	Until time.Time
}

// Refusal is that an image may not come in. It is an error, so that a verdict cannot be
// taken for an admission by mistake.
type Refusal struct {
	Rule   string // of the trust policy
	Reason string // completes "image X …"
	Hint   string // what to do about it
}

func (r *Refusal) Error() string { return r.Reason }

// Options are the gate's settings.
type Options struct {
	Trust     *Trust // nil: it judges no images, and needs Rules
	Namespace string // its own, which is exempt
	// Warn lets everything through, and warns whoever asks of what else would be refused.
	Warn bool
	// PinPodsOnly leaves the templates of workloads as they are written, and pins pods.
	PinPodsOnly bool

	Admitted    int           // verdicts that are remembered; 50,000 if zero
	Refused     int           // refusals that are remembered; 4,096 if zero
	RefusedFor  time.Duration // how long; 10 s if zero
	FailedFor   time.Duration // how long a failure to decide is remembered; 2 s if zero
	RefreshFrom time.Duration // verdicts older than this are looked at again, beside being used; an hour if zero
	TagFor      time.Duration // how long a tag's digest is believed; 5 s if zero
	Verifying   int           // verifications at once, and questions for a tag; 32 each if zero
	InFlight    int           // requests at once; 1,000 if zero

	// Margin is kept free of the API server's timeout, so that the answer arrives; 1 s if zero.
	Margin time.Duration

	Rules  *Rules    // judge objects beside what the cluster holds; nil: none do
	Grants *Grants   // break-glass; nil: there is none
	Record *Recorder // decision log; nil: only the log
	Log    *slog.Logger
	Now    func() time.Time
}

// Gate judges admission requests.
type Gate struct {
	o       Options
	trust   atomic.Pointer[Trust]
	exempt  map[string]bool
	cache   *cache
	tags    *tags
	overlay *overlay // nil without Options.Rules
	room    *semaphore.Weighted
	metrics *metrics
	log     *slog.Logger

	judged, objected atomic.Int64 // requests
	attachment       atomic.Pointer[Attachment]
}

// New makes a gate.
func New(o Options) (*Gate, error) {
	if o.Trust == nil && o.Rules == nil {
		return nil, errors.New("the gate has neither a trust policy nor rules")
	}
	if o.Namespace == "" {
		return nil, errors.New("the gate does not know its own namespace\nhint: --namespace, or the variable POD_NAMESPACE")
	}
	setDefault(&o.Admitted, 50_000)
	setDefault(&o.Refused, 4096)
	setDefault(&o.RefusedFor, 10*time.Second)
	setDefault(&o.FailedFor, 2*time.Second)
	setDefault(&o.RefreshFrom, time.Hour)
	setDefault(&o.TagFor, 5*time.Second)
	setDefault(&o.Verifying, 32)
	setDefault(&o.InFlight, 1000)
	setDefault(&o.Margin, time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	g := &Gate{o: o, exempt: map[string]bool{}, room: semaphore.NewWeighted(int64(o.InFlight)), log: o.Log}
	for _, name := range imagegate.Exempt(o.Namespace) {
		g.exempt[name] = true
	}
	g.metrics = newMetrics(o.Warn)
	var err error
	if g.cache, err = newCache(&g.o, g.metrics); err != nil {
		return nil, fmt.Errorf("the gate's cache: %w", err)
	}
	if g.tags, err = newTags(o.Verifying, o.TagFor, o.FailedFor); err != nil {
		return nil, fmt.Errorf("the gate's cache: %w", err)
	}
	if o.Rules != nil {
		if g.overlay, err = newOverlay(*o.Rules, g.log, g.metrics); err != nil {
			return nil, fmt.Errorf("the gate's rules: %w", err)
		}
	}
	g.metrics.watch(g)
	if o.Record != nil {
		o.Record.metrics.Store(g.metrics)
	}
	if o.Trust != nil {
		g.SetTrust(o.Trust)
	}
	return g, nil
}

// Mode is what the gate does with what it objects to: "enforce" or "warn".
func (g *Gate) Mode() string { return mode(g.o.Warn) }

func mode(warn bool) string {
	if warn {
		return "warn"
	}
	return "enforce"
}

// Counts gives how many requests the gate has judged, and to how many of them it objected:
// those that it refused, or warned of.
func (g *Gate) Counts() (judged, objected int64) { return g.judged.Load(), g.objected.Load() }

// Metrics are the gate's own, as one collector.
func (g *Gate) Metrics() prometheus.Collector { return g.metrics.registry }

// SetTrust judges by another policy from now on.
func (g *Gate) SetTrust(t *Trust) {
	g.trust.Store(t)
	g.metrics.policy.Reset()
	g.metrics.policy.WithLabelValues(t.Revision).Set(1)
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// PolicyFailed counts a trust policy that could not be read.
func (g *Gate) PolicyFailed() { g.metrics.policyErrors.Inc() }
