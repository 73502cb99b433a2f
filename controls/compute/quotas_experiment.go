package compute

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
)

// quotaExperiments try the bounds that a namespace has.
var quotaExperiments = []*bailey.Experiment{boundsHold}

var boundsHold = &bailey.Experiment{
	Name:  "bounds-hold",
	Title: "Pods without requests, over the quota or over a maximum are refused",
	Doc: `In each namespace with a ResourceQuota or a LimitRange, pods are created by dry-run: one whose container, init
container or sidecar states nothing, where a quota or a default makes that matter; one that asks for more than a
quota's whole, and one whose container asks for more than a LimitRange's maximum. The first must be refused by
the quota or come back with requests set; the others must be refused, each by the one whose bound it is. Where a
container may not have as much as the quota, the amount is spread over several. A pod that is there is resized by
dry-run in the same way, and devices are claimed over the quota of their class. Each twin differs in the amounts
alone. Nothing is created or resized.

A quota that no pod can exceed, for a LimitRange's maximum, is not tried. A quota that is so full that it refuses
the small twin too gives no answer. Quotas with scopes hold for some pods only, and are left out, as are storage,
counts of objects, minimums, ratios, and LimitRanges for pods as a whole. The bounds are those of the snapshot.
That a quota is well sized, or that a node holds a container to its limits, this does not show.`,
	Hypothesis: "A pod that states no needs is refused or given some, and one that asks for more than the namespace may have is refused.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1496",
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindResourceQuota, bailey.KindLimitRange, bailey.KindPod},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		b := boundsAt(v, scope.Name)
		if len(b.hard) == 0 && len(b.ranges) == 0 {
			return nil
		}
		b.unstated()
		b.overQuota()
		b.overMaximum()
		b.claims()
		return b.probes
	},
}

// boundary is what bounds the pods of a namespace, and the probes of it.
type boundary struct {
	v         *bailey.View
	namespace string
	pod       *corev1.Pod // the allowed twin
	// hard is the least of what the quotas without scopes allow.
	hard   corev1.ResourceList
	ranges []*bailey.Fact
	// most is the least maximum of a container, podMost of a pod as a whole, and few
	// the greatest minimum of a container.
	most, podMost, few corev1.ResourceList
	probes             []bailey.Probe
}

func boundsAt(v *bailey.View, namespace string) *boundary {
	b := &boundary{v: v, namespace: namespace, hard: corev1.ResourceList{}, most: corev1.ResourceList{}, podMost: corev1.ResourceList{}, few: corev1.ResourceList{},
		ranges: v.List(bailey.KindLimitRange, namespace), pod: pods.Restricted(pods.ModelOf(v, namespace))}
	for _, f := range v.List(bailey.KindResourceQuota, namespace) {
		if q, ok := f.Object.(*corev1.ResourceQuota); ok && quotaScope(q) == "" {
			least(b.hard, q.Spec.Hard)
		}
	}
	for _, f := range b.ranges {
		l, ok := f.Object.(*corev1.LimitRange)
		if !ok {
			continue
		}
		for i := range l.Spec.Limits {
			switch item := &l.Spec.Limits[i]; item.Type {
			case corev1.LimitTypeContainer:
				least(b.most, item.Max)
				b.raise(item.Min)
			case corev1.LimitTypePod:
				least(b.podMost, item.Max)
			}
		}
	}
	return b
}

// raise notes a minimum, and makes the twin ask for as much.
func (b *boundary) raise(to corev1.ResourceList) {
	for name, q := range to {
		if had, found := b.few[name]; !found || q.Cmp(had) > 0 {
			b.few[name] = q
		}
		for _, at := range kindsOf {
			r := &at.container(b.pod).Resources
			if had, found := r.Requests[name]; found && had.Cmp(q) < 0 {
				state(r, name, q)
			}
		}
	}
}

// least keeps the lesser of the amounts in both lists.
func least(into, from corev1.ResourceList) {
	for name, q := range from {
		if had, found := into[name]; !found || q.Cmp(had) < 0 {
			into[name] = q
		}
	}
}

func (b *boundary) add(name, path string, try, twin bailey.Step) {
	b.probes = append(b.probes, bailey.Probe{Name: name, Path: path, Try: try, Twin: twin})
}

// kindsOf are the containers of the twin, by the way in.
var kindsOf = []place{inRegular, inInit, inSidecar}

// unstated tries containers that state nothing.
func (b *boundary) unstated() {
	wanted, defaults := demandedBy(b.hard), defaultsIn(b.ranges)
	if wanted|defaults == 0 {
		return // nothing here says that pods must state anything
	}
	for _, at := range kindsOf {
		try := b.pod.DeepCopy()
		at.container(try).Resources = corev1.ResourceRequirements{}
		step := pods.Create(try, bailey.RefuserQuota)
		step.Mended = at.field() + ".resources." + firstAmount(wanted|defaults, defaults)
		b.add("no requests"+at.suffix(), "create pods/"+at.name, step, pods.Create(b.pod))
	}
}

// firstAmount is the path of an amount among those that are wanted; of those that
// a default sets, if there is one.
func firstAmount(wanted, defaults amounts) string {
	if defaults != 0 {
		wanted = defaults
	}
	switch {
	case wanted&memoryRequest != 0:
		return "requests.memory"
	case wanted&cpuRequest != 0:
		return "requests.cpu"
	case wanted&memoryLimit != 0:
		return "limits.memory"
	}
	return "limits.cpu"
}

// field is where the container stands in the pod.
func (p place) field() string {
	switch p.name {
	case inInit.name:
		return "spec.initContainers.0"
	case inSidecar.name:
		return "spec.initContainers.1"
	}
	return "spec.containers.0"
}

// spreadLimit bounds over how many containers an amount is spread.
const spreadLimit = 16

// overQuota tries to ask for more than the whole quota. The quota itself must
// refuse it: a LimitRange that does shows nothing of the quota. Where a container
// may not have so much, the amount is spread over several; of init containers,
// which run one after the other, the largest counts and not the sum.
func (b *boundary) overQuota() {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		limit, bounded := b.bound(name)
		if !bounded {
			continue
		}
		limit.Add(oneMore(name))
		most, capped := b.most[name]
		capped = capped && most.Cmp(limit) < 0
		for _, at := range kindsOf {
			try, twin := b.pod.DeepCopy(), b.pod.DeepCopy()
			amount, count := limit, 1
			if capped {
				amount, count = most, over(limit, most)
				b.copies(try, at, count)
				b.copies(twin, at, count)
			}
			if count > 1 && at.name == inInit.name || count > spreadLimit || b.beyondPod(name, amount, count) {
				continue
			}
			for _, c := range at.copies(try, count) {
				state(&c.Resources, name, amount)
			}
			b.add("more "+string(name)+" than the quota"+at.suffix(), "create pods/"+at.name, pods.Create(try, bailey.RefuserQuota), pods.Create(twin))
		}
		if !capped && !b.beyondPod(name, limit, 1) {
			b.resize("more "+string(name)+" than the quota", name, limit, bailey.RefuserQuota)
		}
	}
}

// over is how many times the part is needed to be more than the whole.
func over(whole, part resource.Quantity) int {
	if part.MilliValue() <= 0 {
		return spreadLimit + 1
	}
	return int(min(whole.MilliValue()/part.MilliValue(), spreadLimit)) + 1
}

// beyondPod reports whether a pod may not have so much as a whole.
func (b *boundary) beyondPod(name corev1.ResourceName, amount resource.Quantity, count int) bool {
	most, bounded := b.podMost[name]
	return bounded && amount.MilliValue() > most.MilliValue()/int64(count)
}

// copies makes the pod have so many containers of the kind.
func (*boundary) copies(pod *corev1.Pod, at place, count int) {
	for i := 1; i < count; i++ {
		c := *at.container(pod).DeepCopy()
		c.Name = fmt.Sprintf("%s-%d", c.Name, i)
		if at.name == inRegular.name {
			pod.Spec.Containers = append(pod.Spec.Containers, c)
		} else {
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
		}
	}
}

// copies gives the container of the kind, and the copies that were made of it.
func (p place) copies(pod *corev1.Pod, count int) []*corev1.Container {
	all := []*corev1.Container{p.container(pod)}
	list := pod.Spec.InitContainers
	if p.name == inRegular.name {
		list = pod.Spec.Containers
	}
	for i := len(list) - count + 1; i < len(list); i++ {
		all = append(all, &list[i])
	}
	return all
}

// bound gives what the quotas allow of CPU or memory, requested or as a limit.
func (b *boundary) bound(name corev1.ResourceName) (resource.Quantity, bool) {
	found := corev1.ResourceList{}
	for _, key := range []corev1.ResourceName{name, "requests." + name, "limits." + name} {
		if q, bounded := b.hard[key]; bounded {
			least(found, corev1.ResourceList{name: q})
		}
	}
	q, bounded := found[name]
	return q.DeepCopy(), bounded
}

// oneMore is what is asked for beyond a bound.
func oneMore(name corev1.ResourceName) resource.Quantity {
	if name == corev1.ResourceCPU {
		return resource.MustParse("100m")
	}
	return resource.MustParse("16Mi")
}

// state makes the container ask for the amount, as request and as limit.
func state(r *corev1.ResourceRequirements, name corev1.ResourceName, q resource.Quantity) {
	r.Requests, r.Limits = r.Requests.DeepCopy(), r.Limits.DeepCopy()
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	if r.Limits == nil {
		r.Limits = corev1.ResourceList{}
	}
	r.Requests[name], r.Limits[name] = q, q
}

// overMaximum tries to ask for more than a container may have.
func (b *boundary) overMaximum() {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		most, bounded := b.most[name]
		if !bounded {
			continue
		}
		most = most.DeepCopy()
		most.Add(oneMore(name))
		for _, at := range kindsOf {
			try := b.pod.DeepCopy()
			state(&at.container(try).Resources, name, most)
			b.add("more "+string(name)+" than a container may have"+at.suffix(), "create pods/"+at.name, pods.Create(try, bailey.RefuserLimitRange), pods.Create(b.pod))
		}
		b.resize("more "+string(name)+" than a container may have", name, most, bailey.RefuserLimitRange)
	}
}

// resize tries the same on a container that is there and has a request and a
// limit of the resource, which the resize keeps in their relation.
func (b *boundary) resize(what string, name corev1.ResourceName, q resource.Quantity, refusers ...bailey.Refuser) {
	if !b.v.Version().AtLeast(1, 33) {
		return
	}
	pod := pods.Existing(b.v, b.namespace, func(p *corev1.Pod) bool {
		return p.Spec.Resources == nil && b.sized(&p.Spec.Containers[0], name) && !slices.ContainsFunc(p.Spec.Containers, b.outside)
	})
	if pod == nil {
		return
	}
	c := &pod.Spec.Containers[0]
	now := corev1.ResourceRequirements{Requests: corev1.ResourceList{name: c.Resources.Requests[name]}, Limits: corev1.ResourceList{name: c.Resources.Limits[name]}}
	// A quota looks at what a resize adds.
	request, limit := q.DeepCopy(), q.DeepCopy()
	request.Add(c.Resources.Requests[name])
	limit.Add(c.Resources.Limits[name])
	more := corev1.ResourceRequirements{Requests: corev1.ResourceList{name: request}, Limits: corev1.ResourceList{name: limit}}
	b.add(what+", resize", "patch pods/resize", pods.Resize(pod, c.Name, more, refusers...), pods.Resize(pod, c.Name, now))
}

func (*boundary) sized(c *corev1.Container, name corev1.ResourceName) bool {
	_, requested := c.Resources.Requests[name]
	_, limited := c.Resources.Limits[name]
	return requested && limited
}

// outside reports whether the container, from before the LimitRange, asks for
// less or more than is allowed now: no resize of its pod would pass.
func (b *boundary) outside(c corev1.Container) bool {
	for name, q := range b.few {
		if had, found := c.Resources.Requests[name]; !found || had.Cmp(q) < 0 {
			return true
		}
	}
	for name, q := range b.most {
		if had, found := c.Resources.Limits[name]; !found || had.Cmp(q) > 0 {
			return true
		}
	}
	return false
}

// claimable bounds how many devices one request may ask for.
const claimable = 32

// claims tries to claim more devices than the quota of their class.
func (b *boundary) claims() {
	if !b.v.Version().AtLeast(1, 34) { // resource.k8s.io/v1
		return
	}
	names := make([]string, 0, len(b.hard))
	for name := range b.hard {
		names = append(names, string(name))
	}
	slices.Sort(names)
	for _, name := range names {
		class, isClass := strings.CutSuffix(name, ".deviceclass.resource.k8s.io/devices")
		hard := b.hard[corev1.ResourceName(name)]
		if !isClass || hard.Value() < 1 || hard.Value() >= claimable {
			continue
		}
		claim := func(count int64, refusers ...bailey.Refuser) bailey.Step {
			exactly := map[string]any{"deviceClassName": class, "allocationMode": "ExactCount", "count": count}
			return bailey.Step{Refusers: refusers, Request: &bailey.Request{Verb: "create", APIVersion: "resource.k8s.io/v1", Resource: "resourceclaims", Namespace: b.namespace,
				Object: map[string]any{"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
					"metadata": map[string]any{"generateName": bailey.ProbePrefix, "namespace": b.namespace},
					"spec":     map[string]any{"devices": map[string]any{"requests": []any{map[string]any{"name": "try", "exactly": exactly}}}}}}}
		}
		b.add("more devices of class "+class+" than the quota", "create resourceclaims", claim(hard.Value()+1, bailey.RefuserQuota), claim(1))
	}
}
