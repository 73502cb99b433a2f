// Package kube reads a live cluster into a snapshot, and follows it.
//
// It asks discovery what is served, lists the kinds that Bailey knows page by
// page, and says of every kind that it could not read why, and which permission
// would let it. It sends GET requests only. It never asks for Secrets.
package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// Options say which cluster to read, and how. The zero value reads all of the
// kubeconfig's current context.
type Options struct {
	// Kubeconfig is the path of a kubeconfig file. Empty means $KUBECONFIG, then
	// ~/.kube/config, then the credentials that Kubernetes gives a pod.
	Kubeconfig string
	// Context is a context of the kubeconfig; empty means its current one.
	Context string
	// RESTConfig, if set, is used in the place of any kubeconfig.
	RESTConfig *rest.Config
	// Namespaces limits what is read of namespaced kinds; empty means all. One
	// that does not exist is an error.
	Namespaces []string
	// KubeletConfigz reads the configuration of each node's kubelet at the
	// kubelet itself (port 10250), which needs the permission get on
	// nodes/configz. A bearer token is then sent to every node whose certificate
	// the cluster's CA has signed, so a node that was broken into can use it;
	// a client certificate gives nothing away.
	KubeletConfigz bool
	// Offline refuses credentials that a program or a provider outside must be
	// asked for: the only socket is to the API server.
	Offline bool
	// UserAgent is how requests name themselves; empty means "bailey/<version>".
	UserAgent string
	// Around, if set, puts something around each request.
	Around func(*rest.Config)
	// QPS and Burst are the rate of requests: 50 a second and 100 if zero.
	QPS   float64
	Burst int
	// Concurrency is how many lists are read at once: 5 if zero.
	Concurrency int
	// Timeout bounds one request with its answer: one minute if zero.
	Timeout time.Duration
	// Whole, if set, is shown each object before what no rule reads is cut out of it:
	// a pointer to its k8s.io/api type, or a map. It may set the type of it, must not change or keep it otherwise,
	// and is called by several goroutines.
	Whole func(apiVersion, kind string, object any)
	// Held, if set, gives the fact that is held of an object from an earlier reading, or nil. What
	// says the same is taken from there, so that it is not held twice. Several goroutines call it.
	Held func(bailey.Ref) *bailey.Fact
	// Progress, if set, is called from one goroutine after each list: how many of
	// the total are done, and what was read.
	Progress func(done, total int, what string)
}

func (o Options) orDefault() Options {
	if o.UserAgent == "" {
		o.UserAgent = "bailey/" + version()
	}
	if o.QPS <= 0 {
		o.QPS = 50
	}
	if o.Burst <= 0 {
		o.Burst = 100
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 5
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	slices.Sort(o.Namespaces)
	o.Namespaces = slices.Compact(o.Namespaces)
	return o
}

// version is the version of this program, as the build recorded it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

const systemNamespace = "kube-system"

var (
	namespaces = resource{kind: "Namespace", version: "v1", plural: "namespaces"}
	secrets    = bailey.Missing{
		Kind: "Secret", Reason: bailey.ReasonNotCollected,
		Detail: "Bailey does not read Secrets: to list them is to read their values",
		Hint:   "none: what a control needs to know of Secrets it learns from what mounts them",
	}
)

// session is one collection under way.
type session struct {
	options Options
	config  *rest.Config
	context string
	client  *client
	builder *bailey.Builder

	skipped    []bailey.Skip
	uid        string // of kube-system
	components []*bailey.Fact
	kubelets   []kubelet
	provider   *provider // of a managed cluster; nil if none is known
	read       int       // lists that were read
	positions  []position
	unread     []position // lists that were forbidden, or failed
	failed     bool       // some failed
	podsSeen   bool
	nodesSeen  bool
}

// Collect reads the cluster. What could not be read, it marks as missing, with
// the reason, and goes on. It returns an error, which says what to do, when the
// cluster cannot be reached or named, when a namespace does not exist, when
// nothing at all could be read, and when ctx ends.
func Collect(ctx context.Context, options Options) (*bailey.Snapshot, error) {
	s, snapshot, err := readWhole(ctx, options)
	if s != nil && s.client != nil {
		s.client.http.CloseIdleConnections()
	}
	return snapshot, err
}

func readWhole(ctx context.Context, options Options) (*session, *bailey.Snapshot, error) {
	s := &session{options: options.orDefault()}
	snapshot, err := s.collect(ctx)
	return s, snapshot, err
}

func (s *session) collect(ctx context.Context) (*bailey.Snapshot, error) {
	var err error
	if s.config, s.context, err = configure(s.options); err != nil {
		return nil, err
	}
	if s.client, err = newClient(s.config, s.options); err != nil {
		return nil, fmt.Errorf("use the kubeconfig of context %q: %w\nhint: check its certificates and server address", s.context, err)
	}
	s.builder = bailey.NewBuilder(bailey.Meta{Medium: "cluster", Context: s.context})

	if err := s.serverVersion(ctx); err != nil {
		return nil, s.stopped(ctx, err)
	}
	served, err := s.client.discover(ctx, acceptAggregated)
	if err != nil {
		return nil, s.stopped(ctx, err)
	}
	if err := s.namedNamespaces(ctx); err != nil {
		return nil, err
	}
	p := makePlan(served)
	for _, kind := range p.absent {
		s.builder.Saw(kind, "")
	}
	for _, m := range p.missing {
		s.miss(m, m.Kind.Short())
	}
	s.builder.Miss(secrets)
	first := s.lists(ctx, p.resources)
	if ctx.Err() != nil {
		return nil, s.stopped(ctx, ctx.Err())
	}
	if s.read == 0 {
		return nil, s.nothing(first)
	}
	s.clusterUID(ctx)
	s.platform(ctx)
	if ctx.Err() != nil {
		return nil, s.stopped(ctx, ctx.Err())
	}
	return s.finish(), nil
}

// stopped is the error of a collection that could not begin or was ended.
func (s *session) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("reading the cluster %s was stopped: %w", s.client.base.Host, context.Cause(ctx))
	}
	return s.unreachable(err)
}

// nothing is the error when not one list could be read.
func (s *session) nothing(first error) error {
	if hasCode(first, http.StatusForbidden) {
		m := missing(resource{kind: "Pod", version: "v1", plural: "pods", namespaced: true}, "", "", first)
		return fmt.Errorf("nothing could be read from %s: %s\nhint: %s, and the same for the other kinds", s.client.base, m.Detail, m.Hint)
	}
	return fmt.Errorf("nothing could be read: %w", s.unreachable(first))
}

func (s *session) serverVersion(ctx context.Context) error {
	meta := s.builder.Meta()
	meta.Version, meta.AssumedVersion = bailey.LatestVersion, true
	body, err := s.client.get(ctx, "/version", acceptJSON)
	if hasCode(err, http.StatusForbidden) {
		return nil // some clusters hide it; the newest version is then assumed
	}
	if err != nil {
		return err
	}
	var answer struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := utiljson.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer to /version: %w", err)
	}
	v, err := bailey.ParseVersion(answer.GitVersion)
	if err != nil {
		return fmt.Errorf("the answer to /version: %w", err)
	}
	meta.Version, meta.AssumedVersion = v, false
	s.provider = providerOfVersion(answer.GitVersion)
	return nil
}

// namedNamespaces reads the namespaces that the collection is limited to, and
// says that others are not looked at.
func (s *session) namedNamespaces(ctx context.Context) error {
	if len(s.options.Namespaces) == 0 {
		return nil
	}
	s.builder.Miss(s.limited(namespaces.factKind()))
	for _, name := range s.options.Namespaces {
		body, err := s.client.get(ctx, namespaces.path("")+"/"+name, acceptProtobuf)
		if hasCode(err, http.StatusNotFound) {
			return fmt.Errorf("there is no namespace %q in the cluster %s\nhint: `kubectl get namespaces` lists them", name, s.client.base.Host)
		}
		l := &list{resource: namespaces, namespace: name, err: err, options: &s.options}
		if err == nil {
			l.addOne(body)
		}
		if ctx.Err() != nil {
			return s.stopped(ctx, ctx.Err())
		}
		for _, f := range l.facts {
			s.builder.Add(f)
		}
		for _, m := range l.broken {
			s.miss(m, "namespace "+name)
		}
		if l.err != nil {
			m := missing(namespaces, "", name, l.err)
			s.miss(m, "namespace "+name)
		}
	}
	return nil
}

// addOne decodes the answer to a request for a single object.
func (l *list) addOne(body []byte) {
	raw, err := protobufObject(body)
	if errors.Is(err, errNoProtobuf) {
		l.add(body, false)
		return
	}
	if err != nil {
		l.err = err
		return
	}
	l.add(raw, true)
}

func (s *session) limited(kind bailey.Kind) bailey.Missing {
	return bailey.Missing{
		Kind: kind, Reason: bailey.ReasonNotCollected,
		Detail: "only the namespaces " + strings.Join(s.options.Namespaces, ", ") + " were read",
		Hint:   "scan without naming namespaces",
	}
}

// lists reads all resources, some at once, and gives the first error.
func (s *session) lists(ctx context.Context, resources []resource) error {
	type job struct {
		resource  resource
		namespace string
	}
	var jobs []job
	for _, r := range resources {
		switch {
		case len(s.options.Namespaces) == 0:
			jobs = append(jobs, job{r, ""})
		case r.kind == "Namespace" && r.group == "": // namedNamespaces has read it
		case !r.namespaced:
			jobs = append(jobs, job{r, ""})
		default:
			s.builder.Miss(s.limited(r.factKind()))
			for _, namespace := range s.options.Namespaces {
				jobs = append(jobs, job{r, namespace})
			}
		}
	}
	todo, done := make(chan job), make(chan *list)
	var group sync.WaitGroup
	for range s.options.Concurrency {
		group.Go(func() {
			for j := range todo {
				done <- s.client.read(ctx, j.resource, j.namespace, &s.options)
			}
		})
	}
	go func() {
		for _, j := range jobs {
			todo <- j
		}
		close(todo)
		group.Wait()
		close(done)
	}()
	var first error
	finished := 0
	for l := range done {
		if l.err != nil && first == nil {
			first = l.err
		}
		s.take(l)
		finished++
		s.options.Progress(finished, len(jobs), l.String())
	}
	return first
}

// String says what was read: "pods: 120", "pods in the namespace shop: forbidden".
func (l *list) String() string {
	where := l.resource.String()
	if l.namespace != "" {
		where += " in the namespace " + l.namespace
	}
	switch {
	case hasCode(l.err, http.StatusForbidden):
		return where + ": forbidden"
	case l.err != nil:
		return where + ": not readable"
	}
	return fmt.Sprintf("%s: %d", where, len(l.facts))
}

// take puts the outcome of a list into the snapshot.
func (s *session) take(l *list) {
	where := l.resource.String()
	if l.namespace != "" {
		where += " in the namespace " + l.namespace
	}
	if l.err != nil {
		s.unread = append(s.unread, position{resource: l.resource, namespace: l.namespace})
		s.failed = s.failed || !hasCode(l.err, http.StatusForbidden)
		s.miss(missing(l.resource, l.namespace, "", l.err), where)
		return
	}
	s.read++
	s.positions = append(s.positions, position{l.resource, l.namespace, l.version})
	kind := l.resource.factKind()
	s.builder.Saw(kind, l.namespace)
	s.builder.Add(l.facts...)
	for _, m := range l.broken {
		s.miss(m, where)
	}
	s.components = append(s.components, l.components...)
	s.kubelets = append(s.kubelets, l.kubelets...)
	s.provider = cmp.Or(s.provider, providerOfAll(l.providers))
	switch {
	case kind == bailey.KindPod && (l.namespace == "" || l.namespace == systemNamespace):
		s.podsSeen = true
	case kind == bailey.KindNode:
		s.nodesSeen = true
	case kind == bailey.KindNamespace:
		for _, f := range l.facts {
			if f.Name == systemNamespace {
				s.uid = f.UID
			}
		}
	}
}

// miss marks something as missing and tells the reader of the report.
func (s *session) miss(m bailey.Missing, what string) {
	s.builder.Miss(m)
	s.skipped = append(s.skipped, bailey.Skip{What: what, Why: m.Detail, Hint: m.Hint})
}

// clusterUID asks for the UID of kube-system, unless it was in a list.
func (s *session) clusterUID(ctx context.Context) {
	if s.uid != "" {
		return
	}
	body, err := s.client.get(ctx, namespaces.path("")+"/"+systemNamespace, acceptProtobuf)
	l := &list{resource: namespaces, err: err, options: &s.options}
	if err == nil {
		l.addOne(body)
	}
	if len(l.facts) == 1 {
		s.uid = l.facts[0].UID
		return
	}
	if l.err != nil {
		m := missing(namespaces, "", systemNamespace, l.err)
		m.Detail += " (its UID names the cluster)"
		s.miss(m, "the cluster's UID")
	}
}

func (s *session) finish() *bailey.Snapshot {
	meta := s.builder.Meta()
	meta.ClusterUID = s.uid
	// One clock for all facts: the server's, since certificates and waivers are
	// judged by it.
	meta.At = time.Now().UTC().Truncate(time.Second)
	if at := s.client.date.Load(); at != 0 {
		meta.At = time.Unix(at, 0).UTC()
	}
	slices.SortStableFunc(s.skipped, func(a, b bailey.Skip) int { return strings.Compare(a.What, b.What) })
	name := s.context
	if name == "" {
		name = s.client.base.Host
	}
	meta.Targets = []bailey.Target{{Name: name, Medium: "cluster", Skipped: s.skipped}}
	snapshot := s.builder.Snapshot()
	snapshot.Meta.Targets[0].Objects = snapshot.Len()
	return snapshot
}
