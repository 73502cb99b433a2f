package compute

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
)

// amounts are the requests and limits that pods state, or that they lack.
type amounts uint8

const (
	cpuRequest amounts = 1 << iota
	memoryRequest
	cpuLimit
	memoryLimit
)

// names says the amounts as people do, with what joins them: "CPU and memory".
func (a amounts) names(joint string) string {
	var names []string
	if a&(cpuRequest|cpuLimit) != 0 {
		names = append(names, "CPU")
	}
	if a&(memoryRequest|memoryLimit) != 0 {
		names = append(names, "memory")
	}
	return strings.Join(names, joint)
}

// stated gives the amounts that a list of requests and a list of limits state.
// A limit is a request too where none is written down. A limit of zero is none.
func stated(requests, limits corev1.ResourceList) amounts {
	var a amounts
	if _, found := requests[corev1.ResourceCPU]; found {
		a |= cpuRequest
	}
	if _, found := requests[corev1.ResourceMemory]; found {
		a |= memoryRequest
	}
	if q, found := limits[corev1.ResourceCPU]; found && !q.IsZero() {
		a |= cpuRequest | cpuLimit
	}
	if q, found := limits[corev1.ResourceMemory]; found && !q.IsZero() {
		a |= memoryRequest | memoryLimit
	}
	return a
}

// statedByPod gives the amounts that the pod states for all its containers
// together, which servers heed since 1.34.
func statedByPod(v bailey.Version, s *corev1.PodSpec) amounts {
	if s.Resources == nil || !v.AtLeast(1, 34) {
		return 0
	}
	return stated(s.Resources.Requests, s.Resources.Limits)
}

// lacks gives the amounts that some container of the pod does not state, of
// those that are wanted. Ephemeral containers can state none.
func lacks(v bailey.Version, s *corev1.PodSpec, wanted amounts) amounts {
	wanted &^= statedByPod(v, s)
	var missing amounts
	for i := range s.InitContainers {
		missing |= wanted &^ stated(s.InitContainers[i].Resources.Requests, s.InitContainers[i].Resources.Limits)
	}
	for i := range s.Containers {
		missing |= wanted &^ stated(s.Containers[i].Resources.Requests, s.Containers[i].Resources.Limits)
	}
	return missing
}

// containerDefaults gives what a LimitRange's item writes into containers that
// state nothing, with the API server's own defaults of the item: the maximum is
// the default limit, the default limit or the minimum the default request.
func containerDefaults(item *corev1.LimitRangeItem) amounts {
	if item.Type != corev1.LimitTypeContainer {
		return 0
	}
	return stated(item.DefaultRequest, item.Default) | stated(nil, item.Max) | stated(item.Min, nil)
}

// defaultsIn gives what the LimitRanges write into containers.
func defaultsIn(limitRanges []*bailey.Fact) amounts {
	var a amounts
	for _, f := range limitRanges {
		if l, ok := f.Object.(*corev1.LimitRange); ok {
			for i := range l.Spec.Limits {
				a |= containerDefaults(&l.Spec.Limits[i])
			}
		}
	}
	return a
}

// bounds are what quotas bound.
type bounds uint8

const (
	boundCPU bounds = 1 << iota
	boundMemory
	boundPods
)

const allBounds = boundCPU | boundMemory | boundPods

// names says what is bounded, as people do.
func (b bounds) names() string {
	var names []string
	if b&boundCPU != 0 {
		names = append(names, "CPU")
	}
	if b&boundMemory != 0 {
		names = append(names, "memory")
	}
	if b&boundPods != 0 {
		names = append(names, "the number of pods")
	}
	if len(names) > 1 {
		last := len(names) - 1
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return strings.Join(names, "")
}

// boundsOf gives what one list of hard limits bounds.
func boundsOf(hard corev1.ResourceList) bounds {
	var b bounds
	for name := range hard {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU:
			b |= boundCPU
		case corev1.ResourceMemory, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory:
			b |= boundMemory
		case corev1.ResourcePods, "count/pods":
			b |= boundPods
		}
	}
	return b
}

// boundsIn gives what the quotas together bound for every pod. A quota with a
// scope counts for the pods in it alone, so that only opposite scopes together
// count; the CPU and memory of best-effort pods are none.
func boundsIn(quotas []*bailey.Fact) bounds {
	var all, terminating, lasting, bestEffort, others bounds
	for _, f := range quotas {
		q, ok := f.Object.(*corev1.ResourceQuota)
		if !ok {
			continue
		}
		b := boundsOf(q.Spec.Hard)
		switch scope := quotaScope(q); scope {
		case "":
			all |= b
		case corev1.ResourceQuotaScopeTerminating:
			terminating |= b
		case corev1.ResourceQuotaScopeNotTerminating:
			lasting |= b
		case corev1.ResourceQuotaScopeBestEffort:
			bestEffort |= b
		case corev1.ResourceQuotaScopeNotBestEffort:
			others |= b
		}
	}
	return all | terminating&lasting | bestEffort&others
}

// narrow stands for scopes that no other quota complements.
const narrow corev1.ResourceQuotaScope = "narrow"

// quotaScope gives a quota's scope: none, one, or narrow.
func quotaScope(q *corev1.ResourceQuota) corev1.ResourceQuotaScope {
	selector := q.Spec.ScopeSelector
	switch {
	case selector != nil && len(selector.MatchExpressions)+len(q.Spec.Scopes) > 1, len(q.Spec.Scopes) > 1:
		return narrow
	case len(q.Spec.Scopes) == 1:
		return q.Spec.Scopes[0]
	case selector != nil && len(selector.MatchExpressions) == 1:
		if e := selector.MatchExpressions[0]; e.Operator == corev1.ScopeSelectorOpExists && e.ScopeName != corev1.ResourceQuotaScopePriorityClass {
			return e.ScopeName
		}
		return narrow
	}
	return ""
}

// demandedBy gives the amounts that the API server wants every container to
// state because the quota counts them.
func demandedBy(hard corev1.ResourceList) amounts {
	var a amounts
	for name := range hard {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceRequestsCPU:
			a |= cpuRequest
		case corev1.ResourceMemory, corev1.ResourceRequestsMemory:
			a |= memoryRequest
		case corev1.ResourceLimitsCPU:
			a |= cpuLimit
		case corev1.ResourceLimitsMemory:
			a |= memoryLimit
		}
	}
	return a
}
