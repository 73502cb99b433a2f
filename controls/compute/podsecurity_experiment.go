package compute

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
	"github.com/baileyhq/bailey/derive/workload"
)

// podSecurityExperiments try what the labels of a namespace promise.
var podSecurityExperiments = []*bailey.Experiment{refusedByPodSecurity, runningPodsAdmitted, levelsLowered}

var refusedByPodSecurity = &bailey.Experiment{
	Name:  "refused-by-pod-security",
	Title: "Pods that violate the enforced level are refused",
	Doc: `For each check of the level that a namespace enforces, and for each kind of container that the check looks at,
one pod that violates that check alone is created by dry-run, beside a twin without the violation. Where the namespace
has a pod that the level admits, an ephemeral container is added to it by dry-run in the same way, as kubectl debug
does. The PodSecurity plugin must refuse the first, and the twin must be admitted. Nothing is created, and nothing runs.

A privileged container cannot also say allowPrivilegeEscalation: false, so that its probe at level restricted
differs from the twin in both. Three checks have no probe where a valid pod cannot violate them alone:
windows-host-process needs hostNetwork, proc-mount below restricted is refused by validation, and the annotations
of before 1.19 are ignored. Updates of pods have no probe: what the standards read cannot be changed by them, and the
plugin lets other changes pass. Namespaces without the label have nothing to try. Users, namespaces and runtime classes
that the API server's own configuration exempts are not tried: the prober is none of them.`,
	Hypothesis: "A pod that violates the level its namespace enforces is refused by PodSecurity, whichever container is at fault.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1610",
	Detections: []string{"privileged-container", "host-path", "host-namespaces", "ephemeral-container"},
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindNamespace, bailey.KindPod},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		s, found := enforcedIn(v, scope)
		if !found {
			return nil
		}
		model := pods.ModelOf(v, scope.Name)
		target := pods.Existing(v, scope.Name, func(p *corev1.Pod) bool { return s.admits(withEphemeral(p, pods.Ephemeral(imageOf(p)))) })
		var probes []bailey.Probe
		for _, t := range tries {
			if !v.Version().IsZero() && !v.Version().AtLeast(t.from.Major, t.from.Minor) {
				continue // a field that the server drops is not refused
			}
			for _, place := range t.places() {
				twin := pods.Restricted(model)
				try := twin.DeepCopy()
				t.twin(twin, place.container(twin))
				t.violate(try, place.container(try))
				// The upstream check has the last word on what the version in
				// force forbids, so that no try is expected to fail that may not.
				if !s.violates(t.check, try) || !s.admits(twin) {
					continue
				}
				step := pods.Create(try, bailey.RefuserPodSecurity)
				probes = append(probes, bailey.Probe{Name: t.name + place.suffix(), Path: "create pods/" + place.name,
					Try: step, Twin: pods.Create(twin), Detections: pods.Noticed(&step)})
			}
			if target == nil || !t.ephemeral() {
				continue
			}
			twin := pods.Ephemeral(imageOf(target))
			try := *twin.DeepCopy()
			t.inContainer(&try)
			if s.violates(t.check, withEphemeral(target, try)) {
				step := pods.AddEphemeral(target, try, bailey.RefuserPodSecurity)
				probes = append(probes, bailey.Probe{Name: t.name + ", ephemeral container", Path: "patch pods/ephemeralcontainers",
					Try: step, Twin: pods.AddEphemeral(target, twin), Detections: pods.Noticed(&step)})
			}
		}
		return probes
	},
}

func imageOf(pod *corev1.Pod) string { return pod.Spec.Containers[0].Image }

// withEphemeral is the pod as it would be with the ephemeral container.
func withEphemeral(pod *corev1.Pod, c corev1.Container) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon(c)})
	return pod
}

// standard is the level of the Pod Security Standards that a namespace enforces,
// at the version in force there.
type standard struct {
	level   api.Level
	version bailey.Version
}

// enforcedIn gives what the namespace enforces, and false if that is nothing.
func enforcedIn(v *bailey.View, namespace bailey.Ref) (standard, bool) {
	f := v.Get(bailey.KindNamespace, "", namespace.Name)
	if f == nil {
		return standard{}, false
	}
	e := enforced(f.Labels)
	return standard{e.level, e.at(v.Version())}, e.level != api.LevelPrivileged
}

func (s standard) admits(pod *corev1.Pod) bool { return !s.violates("", pod) }

// violates reports whether the pod violates the check, or any of the level's
// checks if none is named.
func (s standard) violates(only policy.CheckID, pod *corev1.Pod) bool {
	w := workload.Workload{Meta: &pod.ObjectMeta, Spec: &pod.Spec}
	for _, c := range standardChecks {
		if only != "" && c.ID != only || api.CompareLevels(s.level, c.Level) < 0 {
			continue
		}
		if _, bad := c.refuses(s.version, w); bad {
			return true
		}
	}
	return false
}

var runningPodsAdmitted = &bailey.Experiment{
	Name:  "running-pods-admitted",
	Title: "The running pods would be admitted today",
	Doc: `A pod is looked at when it is made, and not again: one from before its namespace enforced a level runs on with
what the level forbids. A copy of each running pod is created by dry-run, and the PodSecurity plugin must admit it.
Nothing is created, and nothing runs.

The copy lacks what the API server adds or refuses to take twice: the node, the mounted token, the computed priority
and overhead, and ephemeral containers. Its containers ask for little, so that a quota that is nearly full does not
refuse what its original already has. Values of the environment, which Bailey does not read, stand as placeholders;
Pod Security does not look at them. Of the pods of one controller the first is tried. Mirrors of static pods are left
out: the kubelet runs those unasked. What policies and webhooks would say of the pod is not what is asked here, and
where one refuses, the answer is inconclusive.`,
	Hypothesis: "Each pod that runs in a namespace would be admitted by the level that the namespace enforces now.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1610",
	Scope:      bailey.ScopeNamespace,
	Needs:      []bailey.Kind{bailey.KindNamespace, bailey.KindPod, bailey.KindReplicaSet, bailey.KindJob},
	Window:     7 * 24 * time.Hour,
	Plan: func(v *bailey.View, scope bailey.Ref) []bailey.Probe {
		if _, found := enforcedIn(v, scope); !found {
			return nil
		}
		twin := pods.Create(pods.Restricted(pods.ModelOf(v, scope.Name)))
		seen := map[bailey.Ref]bool{}
		var probes []bailey.Probe
		for _, f := range v.List(bailey.KindPod, scope.Name) {
			pod, ok := f.Object.(*corev1.Pod)
			if !ok || !pods.Alive(f) || f.Owner.Name != "" && seen[f.Owner] {
				continue
			}
			seen[f.Owner] = true
			probes = append(probes, bailey.Probe{Name: "a copy of " + madeBy(v, f), Path: "create pods", Admits: true,
				Try: pods.Create(copyOf(pod), bailey.RefuserPodSecurity), Twin: twin})
		}
		return probes
	},
}

// madeBy names a pod by who made it in the end, which stays when a rollout replaces
// pod and ReplicaSet.
func madeBy(v *bailey.View, pod *bailey.Fact) string {
	owner := pod.Owner
	if owner.Name == "" {
		return "pod " + pod.Name
	}
	if owner.Kind == bailey.KindReplicaSet || owner.Kind == bailey.KindJob {
		if f := v.Get(owner.Kind, pod.Namespace, owner.Name); f != nil && f.Owner.Name != "" {
			owner = f.Owner
		}
	}
	return "a pod of " + owner.Kind.Short() + " " + owner.Name
}

// copyOf is the pod as it would have to be created again.
func copyOf(pod *corev1.Pod) *corev1.Pod {
	fresh := pods.Restricted(pods.Model{Namespace: pod.Namespace, Labels: pod.Labels})
	fresh.Spec = *pod.Spec.DeepCopy()
	fresh.Annotations = map[string]string{}
	for key, value := range pod.Annotations {
		// What the older versions of the standards read.
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) || strings.HasPrefix(key, "seccomp.security.alpha.kubernetes.io/") ||
			strings.HasPrefix(key, "container.seccomp.security.alpha.kubernetes.io/") {
			fresh.Annotations[key] = value
		}
	}
	s := &fresh.Spec
	s.NodeName, s.Priority, s.PreemptionPolicy, s.Overhead, s.EphemeralContainers, s.Resources = "", nil, nil, nil, nil, nil
	mounted := map[string]bool{}
	volumes := s.Volumes[:0]
	for _, volume := range s.Volumes {
		if strings.HasPrefix(volume.Name, "kube-api-access-") && volume.Projected != nil {
			mounted[volume.Name] = true
			continue
		}
		volumes = append(volumes, volume)
	}
	s.Volumes = volumes
	for _, list := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range list {
			c := &list[i]
			claims := c.Resources.Claims
			c.Resources = pods.Container("", "").Resources
			c.Resources.Claims = claims
			mounts := c.VolumeMounts[:0]
			for _, mount := range c.VolumeMounts {
				if !mounted[mount.Name] {
					mounts = append(mounts, mount)
				}
			}
			c.VolumeMounts = mounts
		}
	}
	return fresh
}
