package develop

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

// appDesignRules judges what no other control of the checklist does: users,
// capabilities and privileges are compute/pod-security's, requests and limits
// compute/quotas', identities access/service-accounts', images
// deploy/image-identity's.
var appDesignRules = []*bailey.Rule{
	writableRootFilesystem, noLivenessProbe, noReadinessProbe,
	ingressWithoutTLS, ingressPlainHTTP, ingressSnippet,
	gatewayWithoutTLS, routePlainHTTP,
	servicePlainHTTP, serviceSensitivePort, serviceExternalIPs, serviceAlias, serviceAliasAround,
}

var checklist = ref.Kubernetes("concepts/security/application-security-checklist/", "Application Security Checklist")

var writableRootFilesystem = &bailey.Rule{
	Name:  "writable-root-filesystem",
	Title: "Container can write to its root file system",
	Doc: `Reads ` + "`securityContext.readOnlyRootFilesystem`" + ` of containers, init containers and sidecars.

An attacker who can write to the root file system leaves tools there and changes programs that run
later. With a read-only one, only the volumes that the workload mounts can be written.

Ephemeral containers are not judged: they are for debugging and end. Nor are pods of Windows, which
has no read-only root file system.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{
		ref.CIS("5.6.3", "Pods and containers have security contexts"),
		checklist,
		ref.Kubernetes("tasks/configure-pod-container/security-context/", "Configure a Security Context for a Pod or Container"),
		ref.NSA("Immutable container file systems"),
	},
	On:    bailey.PodBearing,
	Check: checkWritableRootFilesystem,
	Fix:   fixWritableRootFilesystem,
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: app}]
`},
}

func checkWritableRootFilesystem(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok || w.Spec.OS != nil && w.Spec.OS.Name == corev1.Windows {
		return nil
	}
	var found []bailey.Finding
	for c := range w.Containers() {
		if c.Type == workload.Ephemeral || c.SecurityContext != nil && c.SecurityContext.ReadOnlyRootFilesystem != nil && *c.SecurityContext.ReadOnlyRootFilesystem {
			continue
		}
		if found == nil { // most pods have it in every container: a list that grows is copied
			found = make([]bailey.Finding, 0, len(w.Spec.InitContainers)+len(w.Spec.Containers))
		}
		found = append(found, c.Finding(".securityContext.readOnlyRootFilesystem", "container "+c.Name+" can write to its root file system"))
	}
	return found
}

func fixWritableRootFilesystem(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
	w, ok := workload.Of(f)
	if !ok || w.Immutable() {
		return nil
	}
	for c := range w.Containers() {
		if c.Field(".securityContext.readOnlyRootFilesystem") != finding.Field {
			continue
		}
		patch := []bailey.PatchOp{{Op: "add", Path: c.Pointer("/securityContext/readOnlyRootFilesystem"), Value: true}}
		if c.SecurityContext == nil {
			patch = append([]bailey.PatchOp{{Op: "add", Path: c.Pointer("/securityContext"), Value: map[string]any{}}}, patch...)
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: patch,
			Note: "mount an emptyDir volume at each path that the process writes to"}}
	}
	return nil
}

// longRunning are the kinds whose pods serve until they are stopped. Jobs end,
// and nothing waits for them to be ready.
var longRunning = []bailey.Kind{
	bailey.KindPod, bailey.KindDeployment, bailey.KindReplicaSet, bailey.KindStatefulSet,
	bailey.KindDaemonSet, bailey.KindReplicationController,
}

// serving gives the pod template of a workload whose containers are meant to
// run on, and false for one that ends.
func serving(f *bailey.Fact) (workload.Workload, bool) {
	w, ok := workload.Of(f)
	if !ok || w.Spec.RestartPolicy != "" && w.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		return w, false
	}
	// A workload that is scaled to nothing by its own declaration serves nobody.
	switch o := f.Object.(type) {
	case *appsv1.Deployment:
		ok = o.Spec.Replicas == nil || *o.Spec.Replicas > 0
	case *appsv1.StatefulSet:
		ok = o.Spec.Replicas == nil || *o.Spec.Replicas > 0
	}
	return w, ok
}

var noLivenessProbe = &bailey.Rule{
	Name:  "no-liveness-probe",
	Title: "Container has no liveness probe",
	Doc: `Reads ` + "`livenessProbe`" + ` of the containers of workloads that run on. Init containers, jobs and pods
that are not restarted are not judged.

A process that hangs, by an attack or by itself, stays until somebody sees it. Where the process ends by
itself whenever it cannot go on, a probe adds nothing: waive the finding.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/workloads/pods/probes/", "Liveness, Readiness, and Startup Probes")},
	On:       longRunning,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := serving(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for c := range w.Containers() {
			if c.Type == workload.Regular && c.LivenessProbe == nil {
				found = append(found, c.Finding(".livenessProbe", "container "+c.Name+" has no liveness probe"))
			}
		}
		return found
	},
	Bad: []string{`apiVersion: apps/v1
kind: Deployment
metadata: {name: bad}
spec:
  selector: {matchLabels: {app: bad}}
  template:
    metadata: {labels: {app: bad}}
    spec:
      containers: [{name: app, image: app}]
`},
}

var noReadinessProbe = &bailey.Rule{
	Name:  "no-readiness-probe",
	Title: "Container that serves has no readiness probe",
	Doc: `Reads ` + "`readinessProbe`" + ` of the containers that declare a port, in workloads that run on. Where none declares one,
and a Service that was seen selects the pods, it wants one container of the pod to have a probe.

Without one, requests reach a container that has not started, or that has stopped to answer. A container
that declares no port and whose pod no Service selects is not judged: nothing shows that it serves.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/workloads/pods/probes/", "Liveness, Readiness, and Startup Probes")},
	On:       longRunning,
	Derives:  []*bailey.Derivation{selectingServices},
	Check:    checkReadiness,
	Bad: []string{`apiVersion: apps/v1
kind: Deployment
metadata: {name: bad}
spec:
  selector: {matchLabels: {app: bad}}
  template:
    metadata: {labels: {app: bad}}
    spec:
      containers: [{name: app, image: app, ports: [{containerPort: 8080}]}]
`},
}
