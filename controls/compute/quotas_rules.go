package compute

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var quotaRules = []*bailey.Rule{
	noQuota, incompleteQuota, noLimitRange, noRequests, noMemoryLimit, quotaRefuses, fullQuota,
}

// ownNamespace reports whether the namespace is one that Kubernetes keeps for
// itself, where a quota would stop the cluster's own parts.
func ownNamespace(name string) bool { return strings.HasPrefix(name, "kube-") }

var noQuota = &bailey.Rule{
	Name:  "no-quota",
	Title: "Namespace has no ResourceQuota",
	Doc: `In a namespace without a quota, one workload that leaks, or one account that is taken over, can ask for
all the CPU, memory and pods of the cluster.

The rule judges namespaces that hold workloads, except those of Kubernetes itself (kube-*). A folder of
manifests seldom holds the quotas of its namespaces: without one in it the verdict is unknown.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/resource-quotas/", "Resource Quotas"),
		ref.NSA("Resource policies"),
		ref.ATTACK("T1496"),
	},
	On:    []bailey.Kind{bailey.KindNamespace},
	Needs: append([]bailey.Kind{bailey.KindResourceQuota, bailey.KindLimitRange}, bailey.PodBearing...),
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if ownNamespace(f.Name) || len(v.Known(bailey.KindResourceQuota, f.Name)) > 0 || !holdsPods(v, f.Name) ||
			len(v.List(bailey.KindResourceQuota, f.Name)) > 0 {
			return nil
		}
		return []bailey.Finding{{Message: "the namespace has no ResourceQuota: its pods may take everything that the cluster has"}}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		if defaultsIn(v.List(bailey.KindLimitRange, f.Name))&wantedDefaults == wantedDefaults {
			return []bailey.Change{quotaChange(v, f.Name)}
		}
		return []bailey.Change{limitRangeChange(v, f.Name), quotaChange(v, f.Name)}
	},
	Bad: []string{`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: web}]}
`},
}

var incompleteQuota = &bailey.Rule{
	Name:  "incomplete-quota",
	Title: "ResourceQuota leaves out CPU, memory or the number of pods",
	Doc: `What no quota names is unbounded. A quota that counts pods alone lets one pod take a node's memory; one
that counts memory alone lets ten thousand small pods fill the API server and the nodes' process tables.

All quotas of the namespace are read together, and the finding is on the first of them. A quota with a
scope (best effort, terminating, a priority class) counts only if another one bounds the pods outside the
scope. Quotas of devices (claims by device class, extended resources) are not judged.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/resource-quotas/", "Resource Quotas"),
		ref.NSA("Resource policies"),
	},
	On:    []bailey.Kind{bailey.KindResourceQuota},
	Needs: append([]bailey.Kind{bailey.KindLimitRange}, bailey.PodBearing...),
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		quotas := v.Held(bailey.KindResourceQuota, f.Namespace)
		open := allBounds &^ boundsIn(quotas)
		if open == 0 || quotas[0].Name != f.Name || ownNamespace(f.Namespace) {
			return nil
		}
		return []bailey.Finding{{Field: "spec.hard", Message: "the quotas of the namespace do not bound " + open.names() + " for all its pods"}}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		q, ok := f.Object.(*corev1.ResourceQuota)
		if !ok || quotaScope(q) != "" {
			return nil
		}
		open := allBounds &^ boundsIn(v.Known(bailey.KindResourceQuota, f.Namespace))
		sizes := useOf(v, f.Namespace).hardLimits()
		patch := bailey.Change{Object: f.Ref, APIVersion: f.APIVersion, Note: sizeNote}
		if len(q.Spec.Hard) == 0 {
			patch.Patch = append(patch.Patch, add("/spec/hard", map[string]any{}))
		}
		for _, name := range [...]corev1.ResourceName{corev1.ResourcePods, corev1.ResourceRequestsCPU, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory} {
			if open&boundsOf(corev1.ResourceList{name: {}}) != 0 {
				patch.Patch = append(patch.Patch, add("/spec/hard/"+string(name), sizes[name]))
			}
		}
		return []bailey.Change{patch}
	},
	Bad: []string{`
apiVersion: v1
kind: ResourceQuota
metadata: {name: objects, namespace: shop}
spec: {hard: {pods: "20", services: "5"}}
`},
}

// wantedDefaults is what a LimitRange should give to containers. No CPU limit:
// a request is enough to share CPU fairly, and a limit slows even an idle node.
const wantedDefaults = cpuRequest | memoryRequest | memoryLimit

var noLimitRange = &bailey.Rule{
	Name:  "no-limit-range",
	Title: "Nothing makes the namespace's containers state what they need",
	Doc: `A LimitRange gives a container that states nothing a request and a limit; a quota on requests and limits
refuses the pod instead. Where there is neither, the next workload without numbers is packed onto a node
as if it needed nothing, and is bounded by nothing.

Wanted are requests for CPU and memory and a limit for memory. A limit for CPU is not: requests share CPU
fairly. The rule judges namespaces that hold workloads, except those of Kubernetes itself (kube-*).`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/limit-range/", "Limit Ranges"),
		ref.NSA("Resource policies"),
	},
	On:    []bailey.Kind{bailey.KindNamespace},
	Needs: append([]bailey.Kind{bailey.KindResourceQuota, bailey.KindLimitRange}, bailey.PodBearing...),
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		if ownNamespace(f.Name) || unstated(v.Known(bailey.KindLimitRange, f.Name), v.Known(bailey.KindResourceQuota, f.Name)) == 0 || !holdsPods(v, f.Name) {
			return nil
		}
		open := unstated(v.List(bailey.KindLimitRange, f.Name), v.List(bailey.KindResourceQuota, f.Name))
		var lacking []string
		if requests := open & (cpuRequest | memoryRequest); requests != 0 {
			lacking = append(lacking, "requests for "+requests.names(" and "))
		}
		if open&memoryLimit != 0 {
			lacking = append(lacking, "a limit for memory")
		}
		return []bailey.Finding{{Message: "no LimitRange gives containers " + strings.Join(lacking, " and ") + ", and no quota demands it"}}
	},
	Fix: func(v *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{limitRangeChange(v, f.Name)}
	},
	Bad: []string{`
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once, namespace: shop}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
`},
}

// unstated gives the amounts that neither LimitRanges give nor quotas without a
// scope demand.
func unstated(limitRanges, quotas []*bailey.Fact) amounts {
	open := wantedDefaults &^ defaultsIn(limitRanges)
	for _, f := range quotas {
		if q, ok := f.Object.(*corev1.ResourceQuota); ok && open != 0 && quotaScope(q) == "" {
			open &^= demandedBy(q.Spec.Hard)
		}
	}
	return open
}

var noRequests = &bailey.Rule{
	Name:  "no-requests",
	Title: "Container requests no CPU or no memory",
	Doc: `The scheduler places a pod by its requests, the kernel shares CPU by them, and the kubelet evicts first
what uses more memory than it requested. A container without requests is packed onto a full node, and its
neighbours pay.

A limit counts as a request, as it does for the API server. Requests of the pod as a whole count since
1.34. What a LimitRange of the namespace would add counts, except for a pod that is already there.
Sidecars and init containers count; ephemeral containers can request nothing.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/configuration/manage-resources-containers/", "Resource Management for Pods and Containers"),
		ref.NSA("Resource policies"),
	},
	On:    bailey.PodBearing,
	Needs: []bailey.Kind{bailey.KindLimitRange},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		return unstatedBy(v, f, cpuRequest|memoryRequest, " requests no ", ".resources.requests")
	},
	Bad: []string{`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: web, resources: {requests: {cpu: 100m}}}]}
`, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers: [{name: proxy, image: proxy, restartPolicy: Always}]
      containers: [{name: web, image: web, resources: {limits: {cpu: 100m, memory: 64Mi}}}]
`},
}

var noMemoryLimit = &bailey.Rule{
	Name:  "no-memory-limit",
	Title: "Container has no memory limit",
	Doc: `Memory cannot be taken back like CPU. A container without a limit grows until the node has none left, and
then the kernel kills something, perhaps of somebody else. An attacker needs one request that allocates.

A limit of the pod as a whole counts since 1.34. The default limit of a LimitRange counts, except for a
pod that is already there. Sidecars and init containers count. CPU limits are not asked for: requests
share CPU fairly.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/configuration/manage-resources-containers/", "Resource Management for Pods and Containers"),
		ref.NSA("Resource policies"),
		ref.ATTACK("T1499"),
	},
	On:    bailey.PodBearing,
	Needs: []bailey.Kind{bailey.KindLimitRange},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		return unstatedBy(v, f, memoryLimit, " has no limit for ", ".resources.limits")
	},
	Bad: []string{`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec: {containers: [{name: web, image: web, resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 200m}}}]}
`},
}

// unstatedBy gives a finding for each container that does not state a wanted
// amount, and would not be given one.
func unstatedBy(v *bailey.View, f *bailey.Fact, wanted amounts, verb, suffix string) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok || lacks(v.Version(), w.Spec, wanted) == 0 {
		return nil
	}
	wanted &^= statedByPod(v.Version(), w.Spec)
	if f.Kind != bailey.KindPod || f.UID == "" {
		if wanted &^= defaultsIn(v.Known(bailey.KindLimitRange, f.Namespace)); lacks(v.Version(), w.Spec, wanted) == 0 {
			return nil
		}
		v.List(bailey.KindLimitRange, f.Namespace)
	}
	var findings []bailey.Finding
	for c := range w.Containers() {
		missing := wanted &^ stated(c.Resources.Requests, c.Resources.Limits)
		if c.Type == workload.Ephemeral || missing == 0 {
			continue
		}
		finding := c.Finding(suffix, label(c)+verb+missing.names(" and no "))
		if ownNamespace(f.Namespace) {
			finding.Severity = bailey.SeverityInfo
		}
		findings = append(findings, finding)
	}
	return findings
}

// refusedNames bounds how many workloads a message names.
const refusedNames = 3

var quotaRefuses = &bailey.Rule{
	Name:  "quota-refuses",
	Title: "ResourceQuota refuses pods of the namespace's own workloads",
	Doc: `Once a quota counts requests or limits of CPU or memory, the API server refuses every pod with a
container that does not state them, unless a LimitRange fills them in. Pods that are there go on running,
so that nobody notices until the next rollout, drain or crash of a node.

The rule reads the templates of the namespace, not the pods that are there. Quotas with a scope are not
judged.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/resource-quotas/", "Resource Quotas"),
	},
	On:    []bailey.Kind{bailey.KindResourceQuota},
	Needs: append([]bailey.Kind{bailey.KindLimitRange}, bailey.PodBearing...),
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		q, ok := f.Object.(*corev1.ResourceQuota)
		if !ok || quotaScope(q) != "" {
			return nil
		}
		demanded := demandedBy(q.Spec.Hard) &^ defaultsIn(v.Known(bailey.KindLimitRange, f.Namespace))
		if demanded == 0 {
			return nil
		}
		var refused []bailey.Ref
		for _, k := range bailey.PodBearing {
			if k == bailey.KindPodTemplate {
				continue
			}
			for _, other := range v.List(k, f.Namespace) {
				if other.Dormant || other.Owner.Name != "" || k == bailey.KindPod && other.UID != "" {
					continue
				}
				w, ok := workload.Of(other)
				// A pod that states anything as a whole is let through by all of them.
				if ok && statedByPod(v.Version(), w.Spec) == 0 && lacks(v.Version(), w.Spec, demanded) != 0 {
					refused = append(refused, other.Ref)
				}
			}
		}
		if len(refused) == 0 {
			return nil
		}
		v.List(bailey.KindLimitRange, f.Namespace)
		slices.SortFunc(refused, bailey.Ref.Compare)
		names := make([]string, 0, refusedNames+1)
		for _, r := range refused[:min(refusedNames, len(refused))] {
			names = append(names, r.Kind.Short()+" "+r.Name)
		}
		if more := len(refused) - refusedNames; more > 0 {
			names = append(names, "and "+strconv.Itoa(more)+" more")
		}
		return []bailey.Finding{{Field: "spec.hard", Related: refused,
			Message: "it refuses new pods of " + strings.Join(names, ", ") + ", whose containers do not state all that it counts"}}
	},
	Bad: []string{`
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: shop}
spec: {hard: {requests.cpu: "4", limits.memory: 8Gi}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, resources: {requests: {cpu: 100m}}}]}
`},
}

var fullQuota = &bailey.Rule{
	Name:  "full-quota",
	Title: "ResourceQuota is used up",
	Doc: `What a quota counts is used up: the next pod, claim or Service that needs it is refused, be it a rollout,
a replacement for a pod that was evicted, or a fix. Whoever can create objects in the namespace can bring
this about.

The rule compares status.used with status.hard. A limit of zero is taken for a ban, which is meant.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.Kubernetes("concepts/policy/resource-quotas/", "Resource Quotas"),
	},
	On: []bailey.Kind{bailey.KindResourceQuota},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		q, ok := f.Object.(*corev1.ResourceQuota)
		if !ok {
			return nil
		}
		var full []string
		for name, used := range q.Status.Used {
			if hard, found := q.Status.Hard[name]; found && !hard.IsZero() && used.Cmp(hard) >= 0 {
				full = append(full, string(name))
			}
		}
		if full == nil {
			return nil
		}
		slices.Sort(full)
		findings := make([]bailey.Finding, len(full))
		for i, name := range full {
			used, hard := q.Status.Used[corev1.ResourceName(name)], q.Status.Hard[corev1.ResourceName(name)]
			findings[i] = bailey.Finding{Field: "status.used[" + name + "]",
				Message: name + " is used up (" + used.String() + " of " + hard.String() + "): what needs more is refused"}
		}
		return findings
	},
	Bad: []string{`
apiVersion: v1
kind: ResourceQuota
metadata: {name: compute, namespace: shop}
spec: {hard: {pods: "10"}}
status: {hard: {pods: "10"}, used: {pods: "10"}}
`},
}
