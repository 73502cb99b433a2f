package manifests

import (
	"cmp"
	"slices"

	"github.com/baileyhq/bailey"
)

// complete are the kinds that ship with applications: a folder is taken to hold
// all of them that there are.
var complete = append(slices.Clone(bailey.PodBearing),
	bailey.KindConfigMap, bailey.KindService, bailey.KindServiceAccount, bailey.KindPersistentVolumeClaim,
	bailey.KindRole, bailey.KindRoleBinding,
	bailey.KindNetworkPolicy, bailey.KindIngress,
	"PodDisruptionBudget.policy", "HorizontalPodAutoscaler.autoscaling",
	bailey.KindHTTPRoute, bailey.KindGateway,
	"GRPCRoute.gateway.networking.k8s.io", "TCPRoute.gateway.networking.k8s.io", "TLSRoute.gateway.networking.k8s.io",
	"UDPRoute.gateway.networking.k8s.io", "ReferenceGrant.gateway.networking.k8s.io", "BackendTLSPolicy.gateway.networking.k8s.io",
	"AuthorizationPolicy.security.istio.io", "PeerAuthentication.security.istio.io", "RequestAuthentication.security.istio.io",
	"VirtualService.networking.istio.io", "Gateway.networking.istio.io", "DestinationRule.networking.istio.io",
	"CiliumNetworkPolicy.cilium.io", "NetworkPolicy.crd.projectcalico.org", "NetworkPolicy.projectcalico.org",
	"Certificate.cert-manager.io", "Issuer.cert-manager.io", "ExternalSecret.external-secrets.io",
)

// open are the platform's kinds, and Secrets: the cluster holds objects of them
// that no folder of an application does.
var open = []bailey.Kind{
	"Secret",
	bailey.KindNamespace, bailey.KindNode, bailey.KindResourceQuota, bailey.KindLimitRange, bailey.KindPersistentVolume,
	bailey.KindClusterRole, bailey.KindClusterRoleBinding,
	bailey.KindRuntimeClass, bailey.KindStorageClass, bailey.KindIngressClass,
	"PriorityClass.scheduling.k8s.io", "CSIDriver.storage.k8s.io", "CSINode.storage.k8s.io", "VolumeAttachment.storage.k8s.io",
	"VolumeAttributesClass.storage.k8s.io", "CertificateSigningRequest.certificates.k8s.io", "ClusterTrustBundle.certificates.k8s.io",
	"FlowSchema.flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration.flowcontrol.apiserver.k8s.io",
	"Endpoints", "EndpointSlice.discovery.k8s.io",
	bailey.KindMutatingWebhookConfiguration, bailey.KindValidatingWebhookConfiguration,
	bailey.KindValidatingAdmissionPolicy, bailey.KindValidatingAdmissionPolicyBinding,
	bailey.KindMutatingAdmissionPolicy, bailey.KindMutatingAdmissionPolicyBinding,
	bailey.KindAdminNetworkPolicy, bailey.KindBaselineAdminNetworkPolicy, bailey.KindClusterNetworkPolicy,
	"CiliumClusterwideNetworkPolicy.cilium.io", "GlobalNetworkPolicy.crd.projectcalico.org", "GlobalNetworkPolicy.projectcalico.org",
	"GatewayClass.gateway.networking.k8s.io", "ClusterIssuer.cert-manager.io",
	"ClusterPolicy.kyverno.io", "Policy.kyverno.io", "ConstraintTemplate.templates.gatekeeper.sh",
	"CustomResourceDefinition.apiextensions.k8s.io", "APIService.apiregistration.k8s.io",
	bailey.KindAPIServer, bailey.KindControllerManager, bailey.KindScheduler, bailey.KindEtcd, bailey.KindKubelet, bailey.KindKubeProxy,
	bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate,
}

// Coverage gives the kinds of which a folder is taken to hold all objects, and
// those of which it is not, for it describes an application and not the cluster
// below it. Of an open kind a list is not seen, and an object that the folder
// holds is. Options.Complete moves kinds from the second list to the first.
func Coverage() (seen, unseen []bailey.Kind) { return slices.Clone(complete), slices.Clone(open) }

const openHint = "add them to the folder and name them under complete: in bailey.yaml, or scan the cluster"

// cover declares what files show of each kind.
func cover(b *bailey.Builder, more []bailey.Kind) {
	for _, k := range open {
		if !slices.Contains(more, k) {
			b.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonOpenWorld, Detail: "files need not hold every " + k.Short() + " of the cluster", Hint: openHint})
		}
	}
	for _, m := range bailey.NoImages() {
		b.Miss(m)
	}
	for _, k := range complete {
		b.Saw(k, "")
	}
	for _, k := range more {
		b.Saw(k, "")
	}
}

// podMakers are custom resources from which operators make pods that no file shows.
var podMakers = []bailey.Kind{
	"Alertmanager.monitoring.coreos.com", "Prometheus.monitoring.coreos.com", "PrometheusAgent.monitoring.coreos.com", "ThanosRuler.monitoring.coreos.com",
	"Rollout.argoproj.io", "Workflow.argoproj.io", "CronWorkflow.argoproj.io", "Service.serving.knative.dev", "Configuration.serving.knative.dev",
	"PipelineRun.tekton.dev", "TaskRun.tekton.dev", "OpenTelemetryCollector.opentelemetry.io", "Jaeger.jaegertracing.io", "GrafanaAgent.monitoring.grafana.com",
	"Grafana.grafana.integreatly.org", "VMSingle.operator.victoriametrics.com", "VMCluster.operator.victoriametrics.com", "VMAgent.operator.victoriametrics.com",
	"Cluster.postgresql.cnpg.io", "postgresql.acid.zalan.do", "PostgresCluster.postgres-operator.crunchydata.com", "Kafka.kafka.strimzi.io", "KafkaConnect.kafka.strimzi.io",
	"Elasticsearch.elasticsearch.k8s.elastic.co", "Kibana.kibana.k8s.elastic.co", "RabbitmqCluster.rabbitmq.com", "MongoDBCommunity.mongodbcommunity.mongodb.com",
	"PerconaServerMongoDB.psmdb.percona.com", "PerconaXtraDBCluster.pxc.percona.com", "InnoDBCluster.mysql.oracle.com", "CassandraDatacenter.cassandra.datastax.com",
	"Redis.redis.redis.opstreelabs.in", "RedisCluster.redis.redis.opstreelabs.in", "CephCluster.ceph.rook.io", "VirtualMachine.kubevirt.io", "VirtualMachineInstance.kubevirt.io",
	"RayCluster.ray.io", "SparkApplication.sparkoperator.k8s.io", "FlinkDeployment.flink.apache.org", "Notebook.kubeflow.org", "PyTorchJob.kubeflow.org", "TFJob.kubeflow.org",
	"JobSet.jobset.x-k8s.io", "LeaderWorkerSet.leaderworkerset.x-k8s.io",
}

// missMade declares that the pods of a namespace were not all seen, where the fact is of
// podMakers.
func missMade(b *bailey.Builder, f *bailey.Fact) {
	if !slices.Contains(podMakers, f.Kind) {
		return
	}
	b.Miss(bailey.Missing{Kind: bailey.KindPod, Namespace: f.Namespace, Reason: bailey.ReasonOpenWorld,
		Detail: "an operator makes pods of " + f.Ref.String(), Hint: "scan the cluster"})
}

// broken is a document, or an object in it, that could not be read.
type broken struct {
	skip bailey.Skip
	// reason is bailey.ReasonUnreadable if empty.
	reason bailey.Reason
	// kind, namespace and name say which object it is, as far as that can be
	// told; an empty kind means that it may be any.
	kind            bailey.Kind
	namespace, name string
	// quiet tells that another entry names it as well.
	quiet bool
}

// miss declares what a part that could not be read may have held: the object it
// seems to be, else all of its kind, else all of every kind.
func miss(b *bailey.Builder, lost broken, more []bailey.Kind) {
	m := bailey.Missing{Kind: lost.kind, Namespace: lost.namespace, Name: lost.name, Reason: cmp.Or(lost.reason, bailey.ReasonUnreadable),
		Detail: lost.skip.What + ": " + lost.skip.Why, Hint: lost.skip.Hint}
	if m.Hint == "" {
		m.Hint = "correct the file, or leave it out of the scan"
	}
	if m.Kind != "" {
		if m.Name == "" {
			m.Namespace = ""
		}
		b.Miss(m)
		return
	}
	m.Namespace, m.Name = "", ""
	for _, k := range complete {
		m.Kind = k
		b.Miss(m)
	}
	for _, k := range more {
		m.Kind = k
		b.Miss(m)
	}
}
