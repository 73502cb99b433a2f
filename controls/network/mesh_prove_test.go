package network

import (
	"net/http"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/devcluster"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

type object = map[string]any

// meshed is the pod spec of an application on a loopback port with a proxy before it.
func meshed(mode string) object {
	container := func(name string, args ...any) object {
		return object{"name": name, "image": devclustertest.SidecarImage, "imagePullPolicy": "Never", "args": args}
	}
	app := container("app", "app", "127.0.0.1:9090")
	app["ports"] = []any{object{"name": "http-web", "containerPort": 8080}}
	return object{"containers": []any{app, container("istio-proxy", mode, ":8080", "127.0.0.1:9090")}}
}

func post(t *testing.T, cluster *devcluster.Cluster, path string, o object) {
	t.Helper()
	if err := cluster.Do(t.Context(), http.MethodPost, path, o, nil); err != nil {
		t.Fatal(err)
	}
}

// TestMeshOnNode dials a workload whose proxy insists on mutual TLS, one whose proxy
// takes plain text too, and one where nobody listens.
func TestMeshOnNode(t *testing.T) {
	cluster, node := devclustertest.SharedNode(t)
	devclustertest.ImportBailey(t, cluster, node)
	devclustertest.ImportSidecar(t, cluster, node)
	namespace := devclustertest.NamespaceIn(t, cluster, nil)
	labels := object{"app": "strict"}
	post(t, cluster, "/apis/apps/v1/namespaces/"+namespace+"/deployments", object{"metadata": object{"name": "strict"}, "spec": object{
		"selector": object{"matchLabels": labels}, "template": object{"metadata": object{"labels": labels}, "spec": meshed("strict")}}})
	pod := func(name string, spec object) {
		spec["terminationGracePeriodSeconds"] = 1
		post(t, cluster, "/api/v1/namespaces/"+namespace+"/pods", object{"metadata": object{"name": name}, "spec": spec})
	}
	pod("permissive", meshed("permissive"))
	dead := meshed("strict")
	dead["containers"].([]any)[1].(object)["args"] = []any{"strict", ":9999", "127.0.0.1:9090"}
	pod("dead", dead)
	alone := meshed("strict")
	alone["containers"] = alone["containers"].([]any)[:1]
	pod("alone", alone) // in no mesh: nothing is tried

	for running, end := 0, time.Now().Add(time.Minute); running < 4; time.Sleep(100 * time.Millisecond) {
		var list corev1.PodList
		if err := cluster.Do(t.Context(), http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods", nil, &list); err != nil {
			t.Fatal(err)
		}
		running = 0
		for i := range list.Items {
			if list.Items[i].Status.Phase == corev1.PodRunning && list.Items[i].Status.PodIP != "" {
				running++
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%d of 4 pods run", running)
		}
	}
	o := inPods()
	o.Namespace = namespace
	records := provetest.Run(t, cluster, Mesh, o)
	provetest.Want(t, records, map[string]prove.Outcome{
		"*/permissive (Istio)": prove.Broken,
		"*/dead (Istio)":       prove.Inconclusive,
	})
	if n := len(provetest.Outcomes(records)); n != 3 {
		t.Errorf("%d probes:\n%s", n, provetest.Text(records))
	}
	if !slices.ContainsFunc(records, func(r *prove.Record) bool { return r.Unit.Scope.Object.Kind == bailey.KindDeployment }) {
		t.Error("the Deployment was not tried as one workload")
	}
}

func TestMeshPlan(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	add := func(name string, change func(*corev1.Pod)) {
		p := &corev1.Pod{}
		p.Name, p.Namespace, p.Labels = name, "shop", map[string]string{"app": name}
		p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.0.0.9"
		p.Spec.ServiceAccountName = "cart"
		p.Spec.Containers = []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{
			{Name: "http", ContainerPort: 80}, {Name: "grpc-api", ContainerPort: 81}, {Name: "tcp-db", ContainerPort: 82},
			{Name: "web", ContainerPort: 83}, {Name: "http-udp", ContainerPort: 84, Protocol: corev1.ProtocolUDP}, {ContainerPort: 85},
		}}}
		change(p)
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: name}, Object: p})
	}
	proxy := func(name string) corev1.Container {
		return corev1.Container{Name: name, Ports: []corev1.ContainerPort{{Name: "http-envoy-prom", ContainerPort: 15090}}}
	}
	add("plain", func(*corev1.Pod) {})
	add("istio", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, proxy("istio-proxy"))
		p.Annotations = map[string]string{"traffic.sidecar.istio.io/excludeInboundPorts": "15090, 81"}
	})
	add("native", func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{proxy("istio-proxy")}
		p.Annotations = map[string]string{"traffic.sidecar.istio.io/includeInboundPorts": "81"}
	})
	add("linkerd", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, proxy("linkerd-proxy"))
		p.Annotations = map[string]string{"config.linkerd.io/skip-inbound-ports": "70-80"}
	})
	add("ambient", func(p *corev1.Pod) { p.Annotations = map[string]string{"ambient.istio.io/redirection": "enabled"} })
	add("pending", func(p *corev1.Pod) {
		p.Spec.Containers, p.Status.Phase = append(p.Spec.Containers, proxy("istio-proxy")), corev1.PodPending
	})
	http, h2c := "http", "kubernetes.io/h2c"
	service := &corev1.Service{}
	service.Spec.Selector = map[string]string{"app": "ambient"}
	service.Spec.Ports = []corev1.ServicePort{{Name: "x", AppProtocol: &http, Port: 8000, TargetPort: intstr.FromString("web")},
		{Name: "y", AppProtocol: &h2c, Port: 85}, {Name: "tcp", Port: 9000, TargetPort: intstr.FromInt32(82)}}
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindService, Namespace: "shop", Name: "s"}, Object: service})
	s := b.Snapshot()
	for name, want := range map[string][]string{
		"plain": nil, "pending": nil,
		"istio":   {"10.0.0.9:80"},
		"native":  {"10.0.0.9:81"},
		"linkerd": {"10.0.0.9:81"},
		"ambient": {"10.0.0.9:80", "10.0.0.9:81", "10.0.0.9:83"}, // 85 would be the fourth
	} {
		v := bailey.NewView(s)
		v.Allow(nil, plainTextRefused.Needs, nil)
		var got []string
		probes := plainTextRefused.Plan(v, bailey.Ref{Kind: bailey.KindPod, Namespace: "shop", Name: name})
		for _, p := range probes {
			got = append(got, p.Try.Task.Dial.Address)
			twin := p.Twin.Task.Dial
			if !twin.TLS.Met || (name == "ambient") != (twin.Address == "10.0.0.9:15008") ||
				name == "linkerd" && twin.TLS.ServerName != "cart.shop.serviceaccount.identity.linkerd.cluster.local" {
				t.Errorf("%s: %+v", name, twin)
			}
			if at := p.Try.Task.Dial.TLSAt; (name == "ambient") != (at == twin.Address) || name != "ambient" && at != "" {
				t.Errorf("%s: TLS is asked for at %q", name, at)
			}
		}
		if !slices.Equal(got, want) || len(v.Missing()) > 0 {
			t.Errorf("%s: %v, want %v; missing %v", name, got, want, v.Missing())
		}
	}
}
