package object

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	networkingv1beta1 "k8s.io/api/networking/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/baileyhq/bailey"
)

// builtin are the kinds that have a type, with the version each is read in.
var builtin = []struct{ apiVersion, kind string }{
	{"v1", "ConfigMap"}, {"v1", "Endpoints"}, {"v1", "LimitRange"}, {"v1", "Namespace"}, {"v1", "Node"}, {"v1", "PersistentVolume"},
	{"v1", "PersistentVolumeClaim"}, {"v1", "Pod"}, {"v1", "PodTemplate"}, {"v1", "ReplicationController"}, {"v1", "ResourceQuota"},
	{"v1", "Secret"}, {"v1", "Service"}, {"v1", "ServiceAccount"},
	{"apps/v1", "DaemonSet"}, {"apps/v1", "Deployment"}, {"apps/v1", "ReplicaSet"}, {"apps/v1", "StatefulSet"},
	{"batch/v1", "CronJob"}, {"batch/v1", "Job"}, {"autoscaling/v2", "HorizontalPodAutoscaler"}, {"autoscaling/v1", "HorizontalPodAutoscaler"},
	{"policy/v1", "PodDisruptionBudget"},
	{"networking.k8s.io/v1", "Ingress"}, {"networking.k8s.io/v1beta1", "Ingress"}, {"networking.k8s.io/v1", "IngressClass"}, {"networking.k8s.io/v1", "NetworkPolicy"},
	{"networking.k8s.io/v1", "IPAddress"}, {"networking.k8s.io/v1", "ServiceCIDR"}, {"discovery.k8s.io/v1", "EndpointSlice"},
	{"rbac.authorization.k8s.io/v1", "Role"}, {"rbac.authorization.k8s.io/v1", "RoleBinding"},
	{"rbac.authorization.k8s.io/v1", "ClusterRole"}, {"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"},
	{"admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"}, {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"},
	{"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"}, {"admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"},
	{"admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy"}, {"admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding"},
	{"node.k8s.io/v1", "RuntimeClass"}, {"storage.k8s.io/v1", "StorageClass"}, {"storage.k8s.io/v1", "CSIDriver"}, {"storage.k8s.io/v1", "CSINode"},
	{"storage.k8s.io/v1", "VolumeAttachment"}, {"storage.k8s.io/v1", "VolumeAttributesClass"}, {"scheduling.k8s.io/v1", "PriorityClass"},
	{"certificates.k8s.io/v1", "CertificateSigningRequest"}, {"certificates.k8s.io/v1", "ClusterTrustBundle"}, {"certificates.k8s.io/v1", "PodCertificateRequest"},
	{"flowcontrol.apiserver.k8s.io/v1", "FlowSchema"}, {"flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"},
	{"resource.k8s.io/v1", "DeviceClass"}, {"resource.k8s.io/v1", "DeviceTaintRule"}, {"resource.k8s.io/v1", "ResourceClaim"},
	{"resource.k8s.io/v1", "ResourceClaimTemplate"}, {"resource.k8s.io/v1", "ResourceSlice"},
}

// fill puts the text into every field that can hold one.
func fill(v reflect.Value, text string, depth int) {
	if depth > 24 {
		return
	}
	switch v.Type() {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](), reflect.TypeFor[metav1.FieldsV1]():
		return
	case reflect.TypeFor[runtime.RawExtension]():
		v.Set(reflect.ValueOf(runtime.RawExtension{Raw: []byte(`{"key":"` + text + `"}`)}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i), text, depth+1)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(text))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), text, depth+1)
		}
	case reflect.Map:
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element, text, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), element)
	}
}

// where lists the fields of a JSON document that hold the text.
func where(v any, text, path string, found map[string]bool) {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, text) {
			found[path] = true
		}
	case map[string]any:
		for k, below := range v {
			if strings.Contains(k, text) {
				found[path+" (key)"] = true
			}
			where(below, text, path+"."+k, found)
		}
	case []any:
		for _, below := range v {
			where(below, text, path+"[]", found)
		}
	}
}

// kept gives the fields in which a text that stood everywhere is left.
func kept(t *testing.T, apiVersion, kind, fillWith, search string) []string {
	obj := New(apiVersion, kind)
	if obj == nil {
		t.Fatalf("no type for %s %s", apiVersion, kind)
	}
	fill(reflect.ValueOf(obj).Elem(), fillWith, 0)
	f := Fact(obj, apiVersion, kind, bailey.Source{})
	text, err := json.Marshal(f.Object)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	where(tree, search, "", found)
	var paths []string
	for path := range found {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// values are the fields whose content no fact may hold.
var values = regexp.MustCompile(`\.env\[\]\.value$|\.args\[\]|^\.(data|stringData|binaryData)\.|\.httpHeaders\[\]\.value|\.volumeAttributes\.|` +
	`\.flexVolume\.options\.|\.caBundle|\.opaque\.parameters\.|^\.spec\.request$|^\.status\.certificate$|last-applied|^\.metadata\.managedFields`)

// suspects are the fields that may hold no credential.
var suspects = regexp.MustCompile(`\.annotations\.|\.command\[\]|ontainers\[\]\.image$|\.(httpGet|service|paths\[\])\.path$|\.clientConfig\.url|[mM]ountOptions\[\]|` +
	`^\.parameters\.|\.gitRepo\.repository|\.externalName`)

// A marker stands in every text of every kind; none is left where values are,
// nor, if it is a credential, where one could be.
func TestNoFactHoldsAValue(t *testing.T) {
	for _, b := range builtin {
		plain := kept(t, b.apiVersion, b.kind, "markerword", "markerword")
		if len(plain) < 2 {
			t.Errorf("%s: hardly anything is kept: %v", b.kind, plain)
		}
		for _, path := range plain {
			if values.MatchString(path) {
				t.Errorf("%s %s: the value of %s is kept", b.apiVersion, b.kind, path)
			}
		}
		for _, path := range kept(t, b.apiVersion, b.kind, "https://user:"+"markerword@host", "markerword") {
			if values.MatchString(path) || suspects.MatchString(path) {
				t.Errorf("%s %s: the credential in %s is kept", b.apiVersion, b.kind, path)
			}
		}
	}
}

// The same for an object of a kind without a type, which may hold a pod
// template or a Secret under any name.
func TestNoCustomResourceHoldsAValue(t *testing.T) {
	for _, b := range builtin {
		obj := New(b.apiVersion, b.kind)
		fill(reflect.ValueOf(obj).Elem(), "https://user:"+"markerword@host", 0)
		text, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]any{}
		if err := json.Unmarshal(text, &content); err != nil {
			t.Fatal(err)
		}
		delete(content, "status")
		m := map[string]any{"metadata": content["metadata"], "spec": map[string]any{"list": []any{content}}}
		f := Fact(m, "example.com/v1", "Thing", bailey.Source{})
		encoded, err := json.Marshal(f.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(encoded), "markerword@") {
			t.Errorf("%s inside of a custom resource: a credential is kept", b.kind)
		}
	}
	m := map[string]any{"metadata": map[string]any{"name": "x"}, "spec": map[string]any{"password": "markerword1", "deep": []any{map[string]any{"clientSecret": "markerword2"}}}}
	encoded, err := json.Marshal(Fact(m, "example.com/v1", "Thing", bailey.Source{}).Object)
	if err != nil || strings.Contains(string(encoded), "markerword") {
		t.Errorf("a field called password is kept: %s, %v", encoded, err)
	}
}

func TestFact(t *testing.T) {
	yes := true
	pod := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-1", Namespace: "shop", UID: "u1", ResourceVersion: "7", Labels: map[string]string{"app": "web"},
			Annotations:     map[string]string{lastApplied: "{}"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "extensions/v1beta1", Kind: "ReplicaSet", Name: "web", UID: "u2", Controller: &yes}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, HostIP: "10.0.0.1"},
	}
	f := Fact(pod, "v1", "Pod", bailey.Source{File: "x.yaml"})
	want := bailey.Fact{
		Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: "web-1"}, APIVersion: "v1", UID: "u1", Labels: map[string]string{"app": "web"},
		Owner: bailey.Ref{Kind: bailey.KindReplicaSet, Namespace: "shop", Name: "web"}, OwnerUID: "u2", Object: pod, Source: bailey.Source{File: "x.yaml"},
	}
	if !reflect.DeepEqual(*f, want) {
		t.Errorf("got %+v\nwant %+v", *f, want)
	}
	if pod.Annotations != nil || pod.ResourceVersion != "" || pod.Kind != "" || pod.Status.HostIP != "" || pod.Status.Phase != corev1.PodRunning {
		t.Errorf("what no rule reads is kept: %+v", pod)
	}

	mirror := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "kube-system", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n1", Controller: &yes}}}}
	if owner := Fact(mirror, "v1", "Pod", bailey.Source{}).Owner; owner != (bailey.Ref{Kind: bailey.KindNode, Name: "n1"}) {
		t.Errorf("the owner of a mirror pod is %+v", owner)
	}

	m := map[string]any{
		"apiVersion": "example.com/v1", "kind": "Thing", "status": map[string]any{"x": "y"},
		"metadata": map[string]any{"generateName": "thing-", "namespace": "shop", "labels": map[string]any{"a": "b"}, "managedFields": []any{},
			"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u3", "controller": true}}},
	}
	g := Fact(m, "example.com/v1", "Thing", bailey.Source{})
	if g.Ref != (bailey.Ref{Kind: "Thing.example.com", Namespace: "shop", Name: "thing-*"}) || g.Labels["a"] != "b" ||
		g.Owner != (bailey.Ref{Kind: bailey.KindDeployment, Namespace: "shop", Name: "web"}) || g.OwnerUID != "u3" || m["status"] != nil {
		t.Errorf("got %+v", g)
	}
}

func TestAttributesOfVolumes(t *testing.T) {
	for driver, want := range map[string]string{"nfs.csi.k8s.io": "ro,sec=sys", "disks.example.com": "‹bailey:text›"} {
		given := func() map[string]string {
			return map[string]string{"mountOptions": "ro,sec=sys", "token": "https://u:hunter2pass@nas.example.com/"}
		}
		pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: driver, VolumeAttributes: given()}}}}}}
		pv := &corev1.PersistentVolume{}
		pv.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver, VolumeAttributes: given()}
		Fact(pod, "v1", "Pod", bailey.Source{})
		Fact(pv, "v1", "PersistentVolume", bailey.Source{})
		for kind, got := range map[string]map[string]string{"Pod": pod.Spec.Volumes[0].CSI.VolumeAttributes, "PersistentVolume": pv.Spec.CSI.VolumeAttributes} {
			if got["mountOptions"] != want || strings.Contains(got["token"], "hunter2") {
				t.Errorf("%s with a volume of %s: %v", kind, driver, got)
			}
		}
	}
}

func TestSecretKeepsKeysOnly(t *testing.T) {
	s := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.key": []byte("x")}, StringData: map[string]string{"more": "y"}}
	f := Fact(s, "v1", "Secret", bailey.Source{})
	kept, _ := bailey.As[*corev1.Secret](f)
	if kept.Type != corev1.SecretTypeTLS || !reflect.DeepEqual(kept.Data, map[string][]byte{"tls.key": nil, "more": nil}) || kept.StringData != nil {
		t.Errorf("got %+v", kept)
	}
}

func TestComponent(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-apiserver-n1", Namespace: "kube-system", UID: "u1"},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{
			{Image: "registry.example.com/sidecar:1.2.3"},
			{
				Image:   "registry.k8s.io/kube-apiserver:v1.37.2@sha256:00",
				Command: []string{"/usr/local/bin/kube-apiserver", "--anonymous-auth=true", "--anonymous-auth=false", "--authorization-mode", "Node,RBAC", "-v=2", "--profiling"},
				Args:    []string{"--enable-admission-plugins=NodeRestriction", "--enable-admission-plugins=PodSecurity", "--etcd-servers=https://root:" + "hunter2@etcd:2379"},
			},
		}},
	}
	f := Component(pod)
	want := &bailey.Component{Node: "n1", Version: "v1.37.2", Flags: map[string]string{
		"anonymous-auth": "false", "authorization-mode": "Node,RBAC", "v": "2", "profiling": "true",
		"enable-admission-plugins": "NodeRestriction,PodSecurity", "etcd-servers": bailey.Redact(bailey.ClassURLCredential),
	}}
	if f == nil || f.Ref != (bailey.Ref{Kind: bailey.KindAPIServer, Name: "n1"}) || !reflect.DeepEqual(f.Object, want) || f.OwnerUID != "u1" {
		t.Fatalf("got %+v", f)
	}
	for _, c := range []corev1.Container{
		{}, {Args: []string{"--kubelet-service=kube-system/kubelet"}}, {Command: []string{"kubectl", "kubelet"}}, {Image: "kube-apiserver:v1.37.2"},
	} {
		if f := Component(&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}); f != nil {
			t.Errorf("%+v gives %+v", c, f.Object)
		}
	}
}

func TestOldVersions(t *testing.T) {
	if k := KindOf("extensions/v1beta1", "Deployment"); k != bailey.KindDeployment {
		t.Errorf("kind %s", k)
	}
	old := New("extensions/v1beta1", "Ingress").(*networkingv1beta1.Ingress)
	old.Name = "web"
	old.Spec.Rules = []networkingv1beta1.IngressRule{{Host: "h"}}
	old.Spec.Rules[0].HTTP = &networkingv1beta1.HTTPIngressRuleValue{Paths: []networkingv1beta1.HTTPIngressPath{{Path: "/", Backend: networkingv1beta1.IngressBackend{ServiceName: "web", ServicePort: intstr.FromString("http")}}}}
	f := Fact(old, "extensions/v1beta1", "Ingress", bailey.Source{})
	ingress, ok := bailey.As[*networkingv1.Ingress](f)
	if !ok || f.Kind != bailey.KindIngress || f.APIVersion != "extensions/v1beta1" || ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name != "http" {
		t.Errorf("got %+v", f)
	}

	hook := New("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration").(*admissionv1.ValidatingWebhookConfiguration)
	hook.Webhooks = make([]admissionv1.ValidatingWebhook, 1)
	Fact(hook, "admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", bailey.Source{})
	if policy := hook.Webhooks[0].FailurePolicy; policy == nil || *policy != admissionv1.Ignore {
		t.Errorf("a webhook of v1beta1 fails open unless told otherwise; got %v", policy)
	}

	for _, test := range []struct {
		apiVersion, kind string
		outdated         bool
	}{
		{"apps/v1", "Deployment", false}, {"apps/v1beta2", "Deployment", false}, {"example.com/v1", "Deployment", false},
		{"autoscaling/v2beta1", "HorizontalPodAutoscaler", true}, {"rbac.authorization.k8s.io/v1alpha1", "Role", true}, {"apps/v9", "Deployment", true},
		{"policy/v1beta1", "PodSecurityPolicy", false}, {"apps/v1", "ControllerRevision", false},
	} {
		if got := Outdated(test.apiVersion, test.kind); got != test.outdated {
			t.Errorf("Outdated(%s, %s) = %v", test.apiVersion, test.kind, got)
		}
	}
}

func TestNamespaced(t *testing.T) {
	for _, b := range builtin {
		if _, known := Namespaced(KindOf(b.apiVersion, b.kind)); !known {
			t.Errorf("the scope of %s is not known", b.kind)
		}
	}
	for kind, want := range map[bailey.Kind]bool{
		bailey.KindPod: true, bailey.KindNamespace: false, bailey.KindClusterRole: false, bailey.KindRole: true, bailey.KindHTTPRoute: true,
		"ClusterIssuer.cert-manager.io": false, "Lease.coordination.k8s.io": true, "EndpointSlice.discovery.k8s.io": true, bailey.KindStorageClass: false,
	} {
		if got, known := Namespaced(kind); got != want || !known {
			t.Errorf("Namespaced(%s) = %v, %v", kind, got, known)
		}
	}
	if _, known := Namespaced("Thing.example.com"); known {
		t.Error("the scope of an unknown kind is known")
	}
}
