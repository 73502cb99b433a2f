package gate

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// Names and ports of the install manifests.
const (
	PolicyName   = imagegate.Name + "-policy"   // ConfigMap with the trust policy and its keys
	RegistryName = imagegate.Name + "-registry" // optional Secret: .dockerconfigjson for private registries
	webhookPort  = 8443
	healthPort   = 8081
	policyFolder = "/etc/bailey/trust"
	dockerFolder = "/etc/bailey/registry"
	ledgerFolder = "/var/lib/bailey"
)

// Install says what the manifests are to hold.
type Install struct {
	Config imagegate.Config
	Image  string // of Bailey
	// Policy are the trust policy's files by their paths: PolicyFile and what it names,
	// relative to it.
	Policy     map[string][]byte
	PolicyFile string
	// WaiversFile is one of them by its path; empty if there are no waivers.
	WaiversFile string
	// Recipients are the age public keys whose holders read the decision log.
	Recipients []string
	Args       []string // more arguments of `bailey gate`
	// APIServer are the networks that the API server asks from, if they are known: nobody else reaches the webhooks.
	APIServer []net.IPNet
	// PlainHTTP tells that registries are spoken to without TLS, which may be at port 80.
	PlainHTTP bool
	// Reads are the rights to read the cluster that rules judge by.
	Reads    []rbacv1.PolicyRule
	Replicas int32
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Objects gives what installs the gate, in the order in which it is applied: the webhook
// configurations come last, since they refuse until the gate runs.
func (i *Install) Objects() ([]runtime.Object, error) {
	if i.Config.URL != "" {
		// The gate runs elsewhere: it needs an identity, its keys and its webhooks.
		return append(i.identity(), i.webhooks()...), nil
	}
	if i.Image == "" {
		return nil, errors.New("the manifests need the image of Bailey, by digest\nhint: --image registry.example.com/bailey@sha256:DIGEST")
	}
	if len(i.Policy) == 0 {
		return nil, errors.New("the manifests need the trust policy\nhint: --policy FILE")
	}
	policy, err := i.policy()
	if err != nil {
		return nil, err
	}
	objects := append(i.identity(), policy, i.isolation(), i.deployment(), i.service(), i.budget())
	return append(objects, i.webhooks()...), nil
}

// webhooks are the webhook configurations.
func (i *Install) webhooks() []runtime.Object {
	all := []runtime.Object{i.Config.Validating()}
	if mutating := i.Config.Mutating(); mutating != nil {
		all = append(all, mutating)
	}
	return all
}

// policy is the ConfigMap with the trust policy's files.
func (i *Install) policy() (*corev1.ConfigMap, error) {
	m := &corev1.ConfigMap{TypeMeta: typeMeta("v1", "ConfigMap"), ObjectMeta: i.meta(PolicyName), Data: map[string]string{}}
	for name, data := range i.Policy {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("the trust policy names %s, which is not beside it\nhint: put the files that it names into its folder", name)
		}
		if !utf8.Valid(data) {
			return nil, fmt.Errorf("%s, which the trust policy names, is no text\nhint: keys and certificates in PEM", name)
		}
		m.Data[entryOf(name)] = string(data)
	}
	if len(m.Data) != len(i.Policy) {
		return nil, errors.New("two of the files that the trust policy names would have the same name in a ConfigMap")
	}
	return m, nil
}

// entryOf is a file's name in the ConfigMap, which takes no slashes.
func entryOf(path string) string { return strings.ReplaceAll(filepath.ToSlash(path), "/", "..") }

// policyItems puts the entries of the ConfigMap where the policy looks for them.
func (i *Install) policyItems() []corev1.KeyToPath {
	var items []corev1.KeyToPath
	for _, path := range slices.Sorted(maps.Keys(i.Policy)) {
		items = append(items, corev1.KeyToPath{Key: entryOf(path), Path: filepath.ToSlash(path)})
	}
	return items
}

func typeMeta(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

var labels = map[string]string{"app.kubernetes.io/name": imagegate.Name, "app.kubernetes.io/managed-by": "bailey"}
var selector = map[string]string{"app.kubernetes.io/name": imagegate.Name}

func (i *Install) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: i.Config.Namespace, Labels: labels}
}

// identity is the namespace, the ServiceAccount with its rights, and the empty Secret.
func (i *Install) identity() []runtime.Object {
	wide := metav1.ObjectMeta{Name: imagegate.Name, Labels: labels}
	who := []rbacv1.Subject{{Kind: "ServiceAccount", Name: imagegate.Name, Namespace: i.Config.Namespace}}
	ref := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: imagegate.Name}
	}
	rbac := rbacv1.SchemeGroupVersion.String()
	no := false
	return []runtime.Object{
		&corev1.Namespace{TypeMeta: typeMeta("v1", "Namespace"), ObjectMeta: metav1.ObjectMeta{Name: i.Config.Namespace, Labels: map[string]string{
			"app.kubernetes.io/managed-by": "bailey", "pod-security.kubernetes.io/enforce": "restricted"}}},
		&corev1.ServiceAccount{TypeMeta: typeMeta("v1", "ServiceAccount"), ObjectMeta: i.meta(imagegate.Name), AutomountServiceAccountToken: &no},
		&rbacv1.ClusterRole{TypeMeta: typeMeta(rbac, "ClusterRole"), ObjectMeta: wide, Rules: slices.Concat(clusterPermissions, i.Reads)},
		&rbacv1.ClusterRoleBinding{TypeMeta: typeMeta(rbac, "ClusterRoleBinding"), ObjectMeta: wide, Subjects: who, RoleRef: ref("ClusterRole")},
		&rbacv1.Role{TypeMeta: typeMeta(rbac, "Role"), ObjectMeta: i.meta(imagegate.Name), Rules: ownPermissions},
		&rbacv1.RoleBinding{TypeMeta: typeMeta(rbac, "RoleBinding"), ObjectMeta: i.meta(imagegate.Name), Subjects: who, RoleRef: ref("Role")},
		&corev1.Secret{TypeMeta: typeMeta("v1", "Secret"), ObjectMeta: i.meta(SecretName)},
	}
}

func (i *Install) deployment() *appsv1.Deployment {
	yes, no, optional := true, false, true
	user, grace, unavailable, surge := int64(65532), int64(45), intstr.FromInt32(0), intstr.FromInt32(1)
	mode := int32(0o440)
	size := resource.MustParse("1Gi")
	request, limit := resource.MustParse("160Mi"), resource.MustParse("512Mi")
	if i.Config.Rules { // it holds the cluster
		request, limit = resource.MustParse("512Mi"), resource.MustParse("2Gi")
	}
	args := []string{"gate", "--namespace", i.Config.Namespace, "--service", i.Config.Service,
		"--policy", policyFolder + "/" + i.PolicyFile, "--ledger", ledgerFolder + "/ledger"}
	if i.WaiversFile != "" {
		args = append(args, "--waivers", policyFolder+"/"+i.WaiversFile)
	}
	for _, r := range i.Recipients {
		args = append(args, "--ledger-recipient", r)
	}
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("health")}}, PeriodSeconds: 5, TimeoutSeconds: 3}
	}
	from := func(field string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}
	}
	spec := corev1.PodSpec{
		ServiceAccountName: imagegate.Name, AutomountServiceAccountToken: &yes, PriorityClassName: "system-cluster-critical",
		TerminationGracePeriodSeconds: &grace,
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, RunAsGroup: &user, FSGroup: &user,
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: "kubernetes.io/hostname",
			WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: &metav1.LabelSelector{MatchLabels: selector}}},
		Containers: []corev1.Container{{
			Name: "gate", Image: i.Image, Args: append(args, i.Args...),
			Env:   []corev1.EnvVar{{Name: "DOCKER_CONFIG", Value: dockerFolder}, {Name: "POD_NAME", ValueFrom: from("metadata.name")}},
			Ports: []corev1.ContainerPort{{Name: "webhooks", ContainerPort: webhookPort}, {Name: "health", ContainerPort: healthPort}},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes, Privileged: &no,
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: request},
				Limits:   corev1.ResourceList{corev1.ResourceMemory: limit}},
			LivenessProbe: probe("/livez"), ReadinessProbe: probe("/readyz"),
			VolumeMounts: []corev1.VolumeMount{{Name: "policy", MountPath: policyFolder, ReadOnly: true}, {Name: "registry", MountPath: dockerFolder, ReadOnly: true}, {Name: "ledger", MountPath: ledgerFolder}},
		}},
		Volumes: []corev1.Volume{
			{Name: "policy", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: PolicyName}, Items: i.policyItems()}}},
			{Name: "registry", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: RegistryName, Optional: &optional, DefaultMode: &mode,
				Items: []corev1.KeyToPath{{Key: corev1.DockerConfigJsonKey, Path: "config.json"}}}}},
			{Name: "ledger", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}},
		},
	}
	replicas := i.Replicas
	return &appsv1.Deployment{TypeMeta: typeMeta("apps/v1", "Deployment"), ObjectMeta: i.meta(imagegate.Name), Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: selector},
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &unavailable, MaxSurge: &surge}},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
	}}
}

func (i *Install) service() *corev1.Service {
	return &corev1.Service{TypeMeta: typeMeta("v1", "Service"), ObjectMeta: metav1.ObjectMeta{Name: i.Config.Service, Namespace: i.Config.Namespace, Labels: labels},
		Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{{Name: "webhooks", Port: 443, TargetPort: intstr.FromString("webhooks")}}}}
}

// budget keeps one replica through a node's drain.
func (i *Install) budget() *policyv1.PodDisruptionBudget {
	one := intstr.FromInt32(1)
	return &policyv1.PodDisruptionBudget{TypeMeta: typeMeta("policy/v1", "PodDisruptionBudget"), ObjectMeta: i.meta(imagegate.Name),
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: selector}}}
}

// YAML writes objects as documents, without what the API server fills in.
func YAML(objects []runtime.Object) ([]byte, error) {
	var b bytes.Buffer
	for n, o := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return nil, err
		}
		delete(content, "status")
		prune(content)
		data, err := yaml.Marshal(content)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			b.WriteString("---\n")
		}
		b.Write(data)
	}
	return b.Bytes(), nil
}

// prune takes out the null creationTimestamp of metadata, and empty resources.
func prune(content map[string]any) {
	for key, value := range content {
		switch v := value.(type) {
		case nil:
			delete(content, key)
		case map[string]any:
			prune(v)
		case []any:
			for _, inner := range v {
				if m, ok := inner.(map[string]any); ok {
					prune(m)
				}
			}
		}
	}
}
