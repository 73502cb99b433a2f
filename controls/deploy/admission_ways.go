package deploy

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/pods"
	"github.com/baileyhq/bailey/derive/admission"
)

// forbidden is something that gates commonly refuse in pods. Which of these the
// gates of a platform refuse is asked of the platform. One of the functions is set.
type forbidden struct {
	name        string
	inPod       func(*corev1.Pod)
	inContainer func(*corev1.Container)
	// beside, if set, is what cannot be left out where the forbidden is put in. The
	// twin has it too, and so has what must pass for the forbidden to be claimed.
	beside func(*corev1.Container)
	// image gives the image in the place of an ordinary one.
	image func(ordinary string) string

	// ordinary, if set, is the image of the allowed twins, in the place of one that runs in
	// the namespace. What must be refused beside it is then known, of the namespaces in which
	// in is true, and is not asked of the platform.
	ordinary string
	in       func(namespace string) bool
}

// known reports whether the platform need not be asked what it claims.
func (f *forbidden) known() bool { return f.ordinary != "" }

// way is how something can get into a pod that is made.
type way struct {
	name, path string
	container  func(*corev1.Pod) *corev1.Container
}

var ways = []way{
	{"container", "create pods/containers", func(p *corev1.Pod) *corev1.Container { return &p.Spec.Containers[0] }},
	{"init container", "create pods/initContainers", func(p *corev1.Pod) *corev1.Container { return &p.Spec.InitContainers[0] }},
	{"sidecar", "create pods/sidecars", func(p *corev1.Pod) *corev1.Container { return &p.Spec.InitContainers[1] }},
}

// put puts the forbidden into the pod by the way.
func (f *forbidden) put(pod *corev1.Pod, w *way) *corev1.Pod {
	pod = pod.DeepCopy()
	if f.inPod != nil {
		f.inPod(pod)
	} else {
		f.into(w.container(pod))
	}
	return pod
}

// twin is the pod without the forbidden, and with what goes beside it.
func (f *forbidden) twin(pod *corev1.Pod, w *way) *corev1.Pod {
	if f.beside == nil {
		return pod
	}
	pod = pod.DeepCopy()
	f.beside(w.container(pod))
	return pod
}

func (f *forbidden) into(c *corev1.Container) {
	if f.image != nil {
		c.Image = f.image(c.Image)
		return
	}
	if f.beside != nil {
		f.beside(c)
	}
	f.inContainer(c)
}

// gatekeepers are those who may refuse what the gates of a platform forbid.
var gatekeepers = []bailey.Refuser{bailey.RefuserPolicy, bailey.RefuserWebhook, bailey.RefuserPodSecurity}

// trial is what is tried against the gates of one domain.
type trial struct {
	v *bailey.View
	d *domain
	// labels are those of the domain's namespaces.
	labels map[string]map[string]string
	probes []bailey.Probe
}

// tryWays plans the probes of each thing that the gates of the platform may
// forbid: whatever is refused as the container of a new pod must be refused in
// every other way, in every namespace that the same gates look into and, where a
// policy reads who asks, as everybody.
func tryWays(v *bailey.View, things []forbidden) []bailey.Probe {
	domains := domainsOf(v, slices.ContainsFunc(things, func(f forbidden) bool { return f.known() }))
	labels := map[string]map[string]string{}
	for _, ns := range v.List(bailey.KindNamespace, "") {
		labels[ns.Name] = ns.Labels
	}
	var probes []bailey.Probe
	for i := range domains {
		t := trial{v: v, d: &domains[i], labels: labels}
		for k := range things {
			t.try(&things[k])
		}
		probes = append(probes, t.probes...)
	}
	return probes
}

// try plans the probes of one thing in one domain.
func (t *trial) try(f *forbidden) {
	open := slices.DeleteFunc(slices.Clone(t.d.namespaces), func(ns string) bool {
		return f.in != nil && !f.in(ns) ||
			!t.admits(ns, f.put(t.pod(ns, f), &ways[0])) // that Pod Security refuses it is proved elsewhere
	})
	if len(open) == 0 {
		return
	}
	home := open[0]
	for _, ns := range open {
		if t.target(ns) != nil {
			home = ns
			break
		}
	}
	pod := t.pod(home, f)
	given := pods.Create(f.put(pod, &ways[0]), gatekeepers...)
	givenTwin := pods.Create(f.twin(pod, &ways[0])) // a gate that refuses the ordinary claims nothing about the forbidden
	add := func(name, path, namespace string, try, twin bailey.Step) {
		p := bailey.Probe{Name: f.name + ", " + name, Path: path + " in " + namespace, Try: try, Twin: twin, Detections: pods.Noticed(&try)}
		if !f.known() {
			p.Given, p.GivenTwin = &given, &givenTwin
		}
		t.probes = append(t.probes, p)
	}
	for i := range ways {
		if i == 0 || f.inPod == nil {
			add(ways[i].name, ways[i].path, home, pods.Create(f.put(pod, &ways[i]), gatekeepers...), pods.Create(f.twin(pod, &ways[i])))
		}
	}
	if f.image != nil && t.v.Version().AtLeast(1, 35) {
		if twin := withImageVolume(pod, pod.Spec.Containers[0].Image); t.admits(home, twin) {
			try := withImageVolume(pod, f.image(pod.Spec.Containers[0].Image))
			add("image volume", "create pods/volumes", home, pods.Create(try, gatekeepers...), pods.Create(twin))
		}
	}
	if target := t.target(home); target != nil {
		ordinary := target.Spec.Containers[0].Image
		if f.known() {
			ordinary = f.ordinary
		}
		if f.inPod == nil {
			twin := pods.Ephemeral(ordinary)
			try := *twin.DeepCopy()
			f.into(&try)
			if f.beside != nil {
				f.beside(&twin)
			}
			add("ephemeral container", "patch pods/ephemeralcontainers", home, pods.AddEphemeral(target, try, gatekeepers...), pods.AddEphemeral(target, twin))
		}
		if f.image != nil {
			add("image of a running pod", "patch pods", home, pods.SetImage(target, f.image(ordinary), gatekeepers...), pods.SetImage(target, ordinary))
		}
	}
	for _, who := range t.identities(home) {
		try, twin := pods.Create(f.put(pod, &ways[0]), gatekeepers...), pods.Create(f.twin(pod, &ways[0]))
		try.Request.As, twin.Request.As = who, who
		add("container, as "+who.User, ways[0].path, home, try, twin)
	}
	if t.d.varies() && !f.known() {
		return
	}
	tried := 0
	for _, ns := range open {
		if ns == home || tried == maxPeers {
			continue
		}
		tried++
		peer := t.pod(ns, f)
		add("container", ways[0].path, ns, pods.Create(f.put(peer, &ways[0]), gatekeepers...), pods.Create(f.twin(peer, &ways[0])))
	}
}

// pod is an ordinary one of the namespace.
func (t *trial) pod(namespace string, f *forbidden) *corev1.Pod {
	m := pods.ModelOf(t.v, namespace)
	if f.known() {
		m.Image = f.ordinary
	}
	return pods.Restricted(m)
}

// admits reports whether Pod Security admits the pod to the namespace.
func (t *trial) admits(namespace string, pod *corev1.Pod) bool {
	level, version := admission.Enforced(t.labels[namespace], t.v.Version())
	return admission.Refuses(level, version, &pod.ObjectMeta, &pod.Spec) == ""
}

// target is a pod of the namespace that a container can be added to; nil if there
// is none.
func (t *trial) target(namespace string) *corev1.Pod {
	return pods.Existing(t.v, namespace, func(p *corev1.Pod) bool {
		p = p.DeepCopy()
		added := corev1.EphemeralContainerCommon(pods.Ephemeral(p.Spec.Containers[0].Image))
		p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{EphemeralContainerCommon: added})
		return t.admits(namespace, p)
	})
}

func withImageVolume(pod *corev1.Pod, reference string) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "try",
		VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: reference, PullPolicy: corev1.PullIfNotPresent}}})
	return pod
}

// repository is an image's name without tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		image = image[:i]
	}
	return image
}
