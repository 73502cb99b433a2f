package kube

import (
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// group is an API group and the kinds of it that are read.
type group struct {
	name string
	// kinds holds "Kind resource" pairs; every entry is one.
	kinds []string
	// all reads every resource of the group that can be listed, whatever its
	// kind: the group's kinds are made by users.
	all bool
}

// builtins are the groups of Kubernetes itself, those with the longest lists
// first: what takes longest starts first. Left out are Secrets (least
// knowledge), Events and Leases (no posture in them), Endpoints and
// ControllerRevisions (copies of what is read elsewhere), and
// CustomResourceDefinitions (their schemas outweigh the cluster).
var builtins = []group{
	{name: "", kinds: []string{
		"Pod pods", "ConfigMap configmaps", "Service services", "ServiceAccount serviceaccounts",
		"Namespace namespaces", "Node nodes", "PersistentVolume persistentvolumes",
		"PersistentVolumeClaim persistentvolumeclaims", "ResourceQuota resourcequotas", "LimitRange limitranges",
		"ReplicationController replicationcontrollers", "PodTemplate podtemplates",
	}},
	{name: "apps", kinds: []string{
		"ReplicaSet replicasets", "Deployment deployments", "StatefulSet statefulsets", "DaemonSet daemonsets",
	}},
	{name: "batch", kinds: []string{"Job jobs", "CronJob cronjobs"}},
	{name: "discovery.k8s.io", kinds: []string{"EndpointSlice endpointslices"}},
	{name: "networking.k8s.io", kinds: []string{
		"NetworkPolicy networkpolicies", "Ingress ingresses", "IngressClass ingressclasses", "ServiceCIDR servicecidrs",
	}},
	{name: "rbac.authorization.k8s.io", kinds: []string{
		"RoleBinding rolebindings", "Role roles", "ClusterRole clusterroles", "ClusterRoleBinding clusterrolebindings",
	}},
	{name: "autoscaling", kinds: []string{"HorizontalPodAutoscaler horizontalpodautoscalers"}},
	{name: "policy", kinds: []string{"PodDisruptionBudget poddisruptionbudgets"}},
	{name: "admissionregistration.k8s.io", kinds: []string{
		"ValidatingWebhookConfiguration validatingwebhookconfigurations",
		"MutatingWebhookConfiguration mutatingwebhookconfigurations",
		"ValidatingAdmissionPolicy validatingadmissionpolicies",
		"ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings",
		"MutatingAdmissionPolicy mutatingadmissionpolicies",
		"MutatingAdmissionPolicyBinding mutatingadmissionpolicybindings",
	}},
	{name: "apiregistration.k8s.io", kinds: []string{"APIService apiservices"}},
	{name: "node.k8s.io", kinds: []string{"RuntimeClass runtimeclasses"}},
	{name: "storage.k8s.io", kinds: []string{
		"StorageClass storageclasses", "CSIDriver csidrivers", "CSINode csinodes",
		"VolumeAttachment volumeattachments", "VolumeAttributesClass volumeattributesclasses",
	}},
	{name: "scheduling.k8s.io", kinds: []string{"PriorityClass priorityclasses"}},
	{name: "certificates.k8s.io", kinds: []string{
		"CertificateSigningRequest certificatesigningrequests", "ClusterTrustBundle clustertrustbundles",
		"PodCertificateRequest podcertificaterequests",
	}},
	{name: "flowcontrol.apiserver.k8s.io", kinds: []string{
		"FlowSchema flowschemas", "PriorityLevelConfiguration prioritylevelconfigurations",
	}},
	{name: "resource.k8s.io", kinds: []string{
		"ResourceClaim resourceclaims", "ResourceClaimTemplate resourceclaimtemplates",
		"ResourceSlice resourceslices", "DeviceClass deviceclasses", "DeviceTaintRule devicetaintrules",
	}},
}

// extensions are the groups of other projects that say something about
// security. What a project keeps once for each pod or request (Cilium's
// endpoints, cert-manager's requests, Kyverno's reports) is left out.
var extensions = []group{
	{name: "gateway.networking.k8s.io", kinds: []string{
		"Gateway gateways", "GatewayClass gatewayclasses", "ListenerSet listenersets", "ReferenceGrant referencegrants",
		"HTTPRoute httproutes", "GRPCRoute grpcroutes", "TLSRoute tlsroutes", "TCPRoute tcproutes", "UDPRoute udproutes",
		"BackendTLSPolicy backendtlspolicies",
	}},
	{name: "policy.networking.k8s.io", kinds: []string{
		"ClusterNetworkPolicy clusternetworkpolicies",
		"AdminNetworkPolicy adminnetworkpolicies", "BaselineAdminNetworkPolicy baselineadminnetworkpolicies",
	}},

	{name: "networking.istio.io", kinds: []string{
		"Gateway gateways", "VirtualService virtualservices", "DestinationRule destinationrules",
		"ServiceEntry serviceentries", "Sidecar sidecars", "EnvoyFilter envoyfilters",
		"ProxyConfig proxyconfigs", "WorkloadGroup workloadgroups",
	}},
	{name: "security.istio.io", kinds: []string{
		"AuthorizationPolicy authorizationpolicies", "PeerAuthentication peerauthentications",
		"RequestAuthentication requestauthentications",
	}},
	{name: "telemetry.istio.io", kinds: []string{"Telemetry telemetries"}},
	{name: "extensions.istio.io", kinds: []string{"WasmPlugin wasmplugins"}},

	{name: "policy.linkerd.io", kinds: []string{
		"Server servers", "ServerAuthorization serverauthorizations", "AuthorizationPolicy authorizationpolicies",
		"MeshTLSAuthentication meshtlsauthentications", "NetworkAuthentication networkauthentications",
		"HTTPRoute httproutes", "EgressNetwork egressnetworks",
	}},
	{name: "linkerd.io", kinds: []string{"ServiceProfile serviceprofiles"}},

	{name: "cilium.io", kinds: []string{
		"CiliumNetworkPolicy ciliumnetworkpolicies", "CiliumClusterwideNetworkPolicy ciliumclusterwidenetworkpolicies",
		"CiliumCIDRGroup ciliumcidrgroups", "CiliumEgressGatewayPolicy ciliumegressgatewaypolicies",
		"CiliumLocalRedirectPolicy ciliumlocalredirectpolicies",
		"CiliumEnvoyConfig ciliumenvoyconfigs", "CiliumClusterwideEnvoyConfig ciliumclusterwideenvoyconfigs",
		"CiliumNodeConfig ciliumnodeconfigs",
	}},
	{name: "crd.projectcalico.org", kinds: calicoKinds},
	{name: "projectcalico.org", kinds: calicoKinds},

	{name: "kyverno.io", kinds: []string{
		"ClusterPolicy clusterpolicies", "Policy policies", "PolicyException policyexceptions",
		"ClusterCleanupPolicy clustercleanuppolicies", "CleanupPolicy cleanuppolicies",
	}},
	{name: "policies.kyverno.io", kinds: []string{
		"ValidatingPolicy validatingpolicies", "NamespacedValidatingPolicy namespacedvalidatingpolicies",
		"MutatingPolicy mutatingpolicies", "NamespacedMutatingPolicy namespacedmutatingpolicies",
		"GeneratingPolicy generatingpolicies", "NamespacedGeneratingPolicy namespacedgeneratingpolicies",
		"DeletingPolicy deletingpolicies", "NamespacedDeletingPolicy namespaceddeletingpolicies",
		"ImageValidatingPolicy imagevalidatingpolicies", "NamespacedImageValidatingPolicy namespacedimagevalidatingpolicies",
		"PolicyException policyexceptions",
	}},
	{name: "templates.gatekeeper.sh", kinds: []string{"ConstraintTemplate constrainttemplates"}},
	{name: "constraints.gatekeeper.sh", all: true},
	{name: "config.gatekeeper.sh", kinds: []string{"Config configs"}},
	{name: "mutations.gatekeeper.sh", kinds: []string{
		"Assign assign", "AssignMetadata assignmetadata", "AssignImage assignimage", "ModifySet modifyset",
	}},
	{name: "expansion.gatekeeper.sh", kinds: []string{"ExpansionTemplate expansiontemplate"}},

	{name: "cert-manager.io", kinds: []string{
		"Certificate certificates", "Issuer issuers", "ClusterIssuer clusterissuers",
	}},
	{name: "secrets-store.csi.x-k8s.io", kinds: []string{"SecretProviderClass secretproviderclasses"}},
	{name: "velero.io", kinds: []string{
		"Backup backups", "Schedule schedules", "Restore restores",
		"BackupStorageLocation backupstoragelocations", "VolumeSnapshotLocation volumesnapshotlocations",
	}},
}

// Calico keeps one set of kinds in two groups: the first is its storage, the
// second its API, which newer versions store too.
var calicoKinds = []string{
	"NetworkPolicy networkpolicies", "GlobalNetworkPolicy globalnetworkpolicies",
	"NetworkSet networksets", "GlobalNetworkSet globalnetworksets", "Tier tiers",
	"HostEndpoint hostendpoints", "FelixConfiguration felixconfigurations", "IPPool ippools",
	"KubeControllersConfiguration kubecontrollersconfigurations",
}

// Permission is a rule of a role: what Collect asks the API server for.
type Permission struct {
	APIGroup  string
	Resources []string
	Verbs     []string
}

// Permissions lists what Collect reads at most, so that a role can be made for
// it. Besides, it needs what the role system:discovery gives every identity,
// and, with Options.KubeletConfigz, get on nodes/configz.
func Permissions() []Permission {
	// For Options.Namespaces, and for the cluster's UID where no list gives it.
	list := []Permission{{APIGroup: "", Resources: []string{"namespaces"}, Verbs: []string{"get"}}}
	for _, g := range slices.Concat(builtins, extensions) {
		p := Permission{APIGroup: g.name, Verbs: []string{"list"}}
		if g.all {
			p.Resources = []string{"*"}
		}
		for _, entry := range g.kinds {
			_, resource, _ := strings.Cut(entry, " ")
			p.Resources = append(p.Resources, resource)
		}
		list = append(list, p)
	}
	return list
}

// resource is one kind to be listed, at the version chosen for it.
type resource struct {
	kind       string // "Deployment"
	group      string
	version    string
	plural     string // "deployments"
	namespaced bool
}

func (r resource) apiVersion() string {
	if r.group == "" {
		return r.version
	}
	return r.group + "/" + r.version
}

func (r resource) factKind() bailey.Kind { return object.KindOf(r.apiVersion(), r.kind) }

// String is the resource as `kubectl` and the RBAC messages name it:
// "deployments.apps".
func (r resource) String() string {
	if r.group == "" {
		return r.plural
	}
	return r.plural + "." + r.group
}

// path is the URL path of the resource in a namespace, or everywhere if it is
// empty.
func (r resource) path(namespace string) string {
	path := "/apis/" + r.group + "/" + r.version
	if r.group == "" {
		path = "/api/" + r.version
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	return path + "/" + r.plural
}

// plan is what to list, and what discovery already says of the rest.
type plan struct {
	resources []resource
	absent    []bailey.Kind
	missing   []bailey.Missing
}

// makePlan matches the kinds above with what the server serves.
func makePlan(served *discovered) plan {
	var p plan
	for _, g := range slices.Concat(builtins, extensions) {
		if g.all {
			p.everything(served, g)
			continue
		}
		for _, entry := range g.kinds {
			kind, plural, _ := strings.Cut(entry, " ")
			p.kind(served, g.name, kind, plural)
		}
	}
	return p
}

// kind plans one kind: in the version whose type Bailey knows, for a built-in,
// and in the one that the server prefers, for a custom resource.
func (p *plan) kind(served *discovered, groupName, kind, plural string) {
	factKind := bailey.KindOf(groupName+"/v1", kind)
	if groupName == "" {
		factKind = bailey.Kind(kind)
	}
	var unusable string
	for _, s := range served.find(groupName, kind) {
		r := resource{kind: kind, group: groupName, version: s.version, plural: s.plural, namespaced: s.namespaced}
		switch {
		case !slices.Contains(s.verbs, "list"):
			unusable = "the server does not let " + r.String() + " be listed"
		case object.Outdated(r.apiVersion(), kind):
			unusable = "the server serves " + r.String() + " only in " + r.apiVersion() + ", which this version of Bailey cannot read"
		default:
			p.resources = append(p.resources, r)
			return
		}
	}
	switch why := served.stale[groupName]; {
	case unusable != "":
		p.missing = append(p.missing, bailey.Missing{Kind: factKind, Reason: bailey.ReasonUnreadable, Detail: unusable})
	case why != "":
		p.missing = append(p.missing, bailey.Missing{Kind: factKind, Reason: bailey.ReasonUnreadable, Detail: why, Hint: staleHint})
	default:
		p.absent = append(p.absent, factKind)
	}
}

const staleHint = "`kubectl get apiservices` shows which API is down"

// everything plans every resource of a group, each kind once.
func (p *plan) everything(served *discovered, g group) {
	var kinds []string
	for _, s := range served.groups[g.name] {
		if slices.Contains(s.verbs, "list") && !slices.Contains(kinds, s.kind) {
			kinds = append(kinds, s.kind)
			p.resources = append(p.resources, resource{kind: s.kind, group: g.name, version: s.version, plural: s.plural, namespaced: s.namespaced})
		}
	}
}
