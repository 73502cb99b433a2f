package gen

import (
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// workload is what a Deployment, StatefulSet, DaemonSet or Job is made from.
type workload struct {
	namespace, name string
	kept            keeping
	labels          map[string]string
	template        corev1.PodTemplateSpec
	port            int32
}

// account emits the ServiceAccount of a workload, unless it uses the default one,
// and the ConfigMap that it mounts.
func (c *cluster) account(w workload) {
	if w.template.Spec.ServiceAccountName != "default" {
		account := &corev1.ServiceAccount{ObjectMeta: c.meta(w.namespace, w.name, w.labels)}
		if w.kept == wellKept {
			account.AutomountServiceAccountToken = ptr(false)
		}
		c.emit(account, gvkServiceAccount)
	}
	c.emit(&corev1.ConfigMap{
		ObjectMeta: c.meta(w.namespace, w.name, w.labels),
		Data:       map[string]string{"application.properties": c.text(pick(c.random, []int{200, 400, 800, 1600, 6000}))},
	}, gvkConfigMap)
}

func (c *cluster) deployment(w workload, replicas int) {
	c.account(w)
	if replicas > 1 && w.kept == wellKept {
		c.emit(&policyv1.PodDisruptionBudget{
			ObjectMeta: c.meta(w.namespace, w.name, w.labels),
			Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: w.labels}},
		}, gvkBudget)
	}
	count, revision := int32(replicas), pick(c.random, []int{1, 1, 1, 2, 2, 2, 3, 4})
	deployment := &appsv1.Deployment{
		ObjectMeta: c.meta(w.namespace, w.name, w.labels),
		Spec: appsv1.DeploymentSpec{
			Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: w.labels}, Template: w.template,
			RevisionHistoryLimit: ptr[int32](10), ProgressDeadlineSeconds: ptr[int32](600),
			Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
				MaxUnavailable: ptr(intstr.FromString("25%")), MaxSurge: ptr(intstr.FromString("25%")),
			}},
		},
		Status: appsv1.DeploymentStatus{ObservedGeneration: int64(revision), Replicas: count, UpdatedReplicas: count, ReadyReplicas: count, AvailableReplicas: count},
	}
	deployment.Generation = int64(revision)
	deployment.Annotations = map[string]string{"deployment.kubernetes.io/revision": fmt.Sprint(revision)}
	for _, kind := range []appsv1.DeploymentConditionType{appsv1.DeploymentProgressing, appsv1.DeploymentAvailable} {
		deployment.Status.Conditions = append(deployment.Status.Conditions, appsv1.DeploymentCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability.",
			LastUpdateTime: deployment.CreationTimestamp, LastTransitionTime: deployment.CreationTimestamp,
		})
	}
	c.emit(deployment, gvkDeployment)

	var pods []*corev1.Pod
	for old := range revision {
		set := c.replicaSet(w, deployment, old+1)
		if old == revision-1 {
			set.Spec.Replicas, set.Status.Replicas, set.Status.ReadyReplicas, set.Status.AvailableReplicas = &count, count, count, count
		} else {
			set.Spec.Template.Spec.Containers[0].Image = fmt.Sprintf("registry.example.com/%s/%s:v0.%d", w.namespace, w.name, old)
		}
		c.emit(set, gvkReplicaSet)
		for range *set.Spec.Replicas {
			pod := c.pod(set.Spec.Template, w.namespace, set.Name+"-"+c.suffix(5), ownedBy(set, gvkReplicaSet), c.worker())
			c.emit(pod, gvkPod)
			pods = append(pods, pod)
		}
	}
	c.service(w, pods, false)
}

// replicaSet makes one revision of a Deployment, scaled to nothing.
func (c *cluster) replicaSet(w workload, d *appsv1.Deployment, revision int) *appsv1.ReplicaSet {
	hash := c.suffix(10)
	labels := maps.Clone(w.labels)
	labels["pod-template-hash"] = hash
	template := *w.template.DeepCopy()
	template.Labels = maps.Clone(labels)
	set := &appsv1.ReplicaSet{
		ObjectMeta: c.meta(w.namespace, w.name+"-"+hash, labels, ownedBy(d, gvkDeployment)),
		Spec:       appsv1.ReplicaSetSpec{Replicas: ptr[int32](0), Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}
	set.Annotations = map[string]string{
		"deployment.kubernetes.io/desired-replicas": fmt.Sprint(*d.Spec.Replicas),
		"deployment.kubernetes.io/max-replicas":     fmt.Sprint(*d.Spec.Replicas + 1),
		"deployment.kubernetes.io/revision":         fmt.Sprint(revision),
	}
	return set
}

func (c *cluster) statefulSet(w workload, replicas int) {
	c.account(w)
	class, size := pick(c.random, []string{"standard", "encrypted"}), resource.MustParse("20Gi")
	count := int32(replicas)
	spec := &w.template.Spec
	spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/var/lib/data"})
	claim := corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, StorageClassName: &class, VolumeMode: ptr(corev1.PersistentVolumeFilesystem),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
	set := &appsv1.StatefulSet{
		ObjectMeta: c.meta(w.namespace, w.name, w.labels),
		Spec: appsv1.StatefulSetSpec{
			Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: w.labels}, Template: w.template, ServiceName: w.name,
			PodManagementPolicy: appsv1.OrderedReadyPodManagement, RevisionHistoryLimit: ptr[int32](10),
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{claim},
		},
		Status: appsv1.StatefulSetStatus{Replicas: count, ReadyReplicas: count, AvailableReplicas: count, CurrentRevision: w.name + "-" + c.suffix(10)},
	}
	c.emit(set, gvkStatefulSet)
	var pods []*corev1.Pod
	for i := range replicas {
		name := fmt.Sprintf("%s-%d", w.name, i)
		bound := claim.DeepCopy()
		bound.ObjectMeta = c.meta(w.namespace, "data-"+name, w.labels)
		bound.Spec.VolumeName = "pvc-" + string(bound.UID)
		bound.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimBound, AccessModes: bound.Spec.AccessModes, Capacity: bound.Spec.Resources.Requests}
		c.emit(bound, gvkVolumeClaim)
		c.emit(&corev1.PersistentVolume{
			ObjectMeta: c.meta("", bound.Spec.VolumeName, nil),
			Spec: corev1.PersistentVolumeSpec{
				AccessModes: bound.Spec.AccessModes, Capacity: bound.Spec.Resources.Requests, StorageClassName: class,
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete, VolumeMode: ptr(corev1.PersistentVolumeFilesystem),
				ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: w.namespace, Name: bound.Name, UID: bound.UID},
				PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
					Driver: "ebs.csi.aws.com", VolumeHandle: "vol-" + c.hex(16), FSType: "ext4",
				}},
			},
			Status: corev1.PersistentVolumeStatus{Phase: corev1.VolumeBound},
		}, gvkVolume)
		pod := c.pod(w.template, w.namespace, name, ownedBy(set, gvkStatefulSet), c.worker())
		pod.Labels["statefulset.kubernetes.io/pod-name"] = name
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: bound.Name},
		}})
		c.emit(pod, gvkPod)
		pods = append(pods, pod)
	}
	c.service(w, pods, true)
}

func (c *cluster) cronJob(w workload, runs int) {
	c.account(w)
	cron := &batchv1.CronJob{
		ObjectMeta: c.meta(w.namespace, w.name, w.labels),
		Spec: batchv1.CronJobSpec{
			Schedule: fmt.Sprintf("%d %d * * *", c.IntN(60), c.IntN(24)), ConcurrencyPolicy: batchv1.ForbidConcurrent, Suspend: ptr(false),
			SuccessfulJobsHistoryLimit: ptr[int32](3), FailedJobsHistoryLimit: ptr[int32](1),
			JobTemplate: batchv1.JobTemplateSpec{Spec: c.jobSpec(w)},
		},
	}
	c.emit(cron, gvkCronJob)
	owner := ownedBy(cron, gvkCronJob)
	for i := range runs {
		c.job(w, fmt.Sprintf("%s-%d", w.name, 29600000+i*1440), &owner)
	}
}

func (c *cluster) jobSpec(w workload) batchv1.JobSpec {
	template := *w.template.DeepCopy()
	template.Spec.RestartPolicy = corev1.RestartPolicyNever
	return batchv1.JobSpec{
		Parallelism: ptr[int32](1), Completions: ptr[int32](1), BackoffLimit: ptr[int32](6), Template: template,
		CompletionMode: ptr(batchv1.NonIndexedCompletion), Suspend: ptr(false),
	}
}

// job emits a finished Job and its pod. Without an owner it also emits what the
// Job mounts, which a CronJob has already.
func (c *cluster) job(w workload, name string, owner *metav1.OwnerReference) {
	job := &batchv1.Job{Spec: c.jobSpec(w), Status: batchv1.JobStatus{Succeeded: 1}}
	if owner == nil {
		c.account(w)
		job.ObjectMeta = c.meta(w.namespace, name, nil)
	} else {
		job.ObjectMeta = c.meta(w.namespace, name, nil, *owner)
	}
	job.Labels = map[string]string{"batch.kubernetes.io/controller-uid": string(job.UID), "batch.kubernetes.io/job-name": name}
	job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/controller-uid": string(job.UID)}}
	maps.Copy(job.Spec.Template.Labels, job.Labels)
	job.Status.StartTime, job.Status.CompletionTime = &job.CreationTimestamp, &job.CreationTimestamp
	c.emit(job, gvkJob)
	pod := c.pod(job.Spec.Template, w.namespace, name+"-"+c.suffix(5), ownedBy(job, gvkJob), c.worker())
	pod.Status.Phase = corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		status := &pod.Status.ContainerStatuses[i]
		status.Ready, status.Started = false, ptr(false)
		status.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: pod.CreationTimestamp, FinishedAt: pod.CreationTimestamp, ContainerID: status.ContainerID,
		}}
	}
	c.emit(pod, gvkPod)
}

// service emits a Service and the EndpointSlice that leads to its pods.
func (c *cluster) service(w workload, pods []*corev1.Pod, headless bool) {
	svc := &corev1.Service{
		ObjectMeta: c.meta(w.namespace, w.name, w.labels),
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: w.labels, ClusterIP: c.ip("10.96"), SessionAffinity: corev1.ServiceAffinityNone,
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}, IPFamilyPolicy: ptr(corev1.IPFamilyPolicySingleStack),
			InternalTrafficPolicy: ptr(corev1.ServiceInternalTrafficPolicyCluster),
			Ports:                 []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
	switch {
	case headless:
		svc.Spec.ClusterIP = corev1.ClusterIPNone
	case w.kept == careless && c.chance(15):
		svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, int32(c.between(30000, 32767))
	case c.chance(4):
		svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeLoadBalancer, int32(c.between(30000, 32767))
	}
	svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	c.emit(svc, gvkService)

	labels := maps.Clone(w.labels)
	labels["endpointslice.kubernetes.io/managed-by"], labels["kubernetes.io/service-name"] = "endpointslice-controller.k8s.io", w.name
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: c.meta(w.namespace, w.name+"-"+c.suffix(5), labels, ownedBy(svc, gvkService)), AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: ptr("http"), Protocol: ptr(corev1.ProtocolTCP), Port: &w.port}},
	}
	for _, pod := range pods {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{pod.Status.PodIP}, NodeName: &pod.Spec.NodeName,
			Conditions: discoveryv1.EndpointConditions{Ready: ptr(true), Serving: ptr(true), Terminating: ptr(false)},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		})
	}
	c.emit(slice, gvkEndpointSlice)
}

// worker is a node that runs applications.
func (c *cluster) worker() *corev1.Node {
	if len(c.nodes) > 6 {
		return pick(c.random, c.nodes[3:])
	}
	return pick(c.random, c.nodes)
}
