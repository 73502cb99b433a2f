package deploy_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/collect/manifests"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/deploy"
	"github.com/baileyhq/bailey/deploy/install"
)

const image = "registry.example.com/bailey@sha256:7d6b1c2f6a6f3c1f8a2b0d8f9a3c5e7b1d2f4a6c8e0b3d5f7a9c1e3b5d7f9a1c"

// everything turns on whatever the values can.
var everything = []string{"image=" + image, "kubeletConfigz=true", "gatekeeper=true", "database.secretName=db",
	"replicas=3", "hub.enabled=true", "push.to=https://hub.example.com", "push.secretName=push", "push.caConfigMap=ca",
	"tls.secretName=tls", "alerts.webhookSecret=w", "alerts.deadManSecret=d", "alerts.alertmanagers={https://alertmanager.monitoring:9093}", "alerts.webhookHTTPSecret=wh", "alerts.alertmanagerHTTPSecret=ah", "monitoring.prometheusRule=true", "monitoring.dashboard=true", "monitoring.podMonitor=true", "monitoring.authorization.credentials.name=metrics", "monitoring.authorization.credentials.key=token",
	"config.failOn=high", "configFiles.baseline\\.json=x", "trustedProxies={10.0.0.0/8}",
	"ingress.enabled=true", "ingress.host=bailey.example.com", "ingress.from[0].namespaceSelector.matchLabels.kubernetes\\.io/metadata\\.name=ingress-nginx",
	"gateway.enabled=true", "gateway.hostnames={bailey.example.com}", "gateway.parentRefs[0].name=public", "gateway.backendTLS.caConfigMap=ca", "gateway.from[0].ipBlock.cidr=192.0.2.0/24"}

// own reads the chart in its namespace as bailey install makes it, of which nothing else is known to be there.
func own(t *testing.T, set []string) *bailey.Snapshot {
	t.Helper()
	namespace, err := json.Marshal(install.Namespace("bailey"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := manifests.Collect(t.Context(), []string{"chart", "-"}, manifests.Options{Namespace: "bailey", Set: set, Stdin: bytes.NewReader(namespace),
		Complete: []bailey.Kind{bailey.KindResourceQuota, bailey.KindLimitRange}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOwnRules judges the chart by Bailey's own rules.
func TestOwnRules(t *testing.T) {
	for name, set := range map[string][]string{"plain": {"image=" + image}, "everything": everything} {
		t.Run(name, func(t *testing.T) {
			s := own(t, set)
			for _, target := range s.Meta.Targets {
				for _, skipped := range target.Skipped {
					t.Errorf("not read: %+v", skipped)
				}
			}
			if s.Len() < 10 || s.Get(bailey.Ref{Kind: bailey.KindNamespace, Name: "bailey"}) == nil {
				t.Fatalf("only %d objects were read, or not the namespace", s.Len())
			}
			for _, f := range judged(t, s) {
				t.Errorf("%s (%s) on %s: %s", f.Rule, f.Severity, f.Object, f.Message)
			}
		})
	}
	// Rules that would find nothing anywhere would show nothing above.
	for _, worse := range []string{"networkPolicy.enabled=false", "quota.enabled=false", "image=bailey:latest", `ingress.annotations.nginx\.ingress\.kubernetes\.io/server-snippet=return 200;`} {
		if len(judged(t, own(t, append(slices.Clone(everything), worse)))) == 0 {
			t.Errorf("nothing is found with %s", worse)
		}
	}
}

// judged gives the findings that are low or worse. None is excused.
func judged(t *testing.T, s *bailey.Snapshot) []bailey.Finding {
	t.Helper()
	r, err := check.Judge(t.Context(), s, controls.All(), check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(r.Findings, func(f bailey.Finding) bool { return f.Severity < bailey.SeverityLow })
}

func TestLint(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"plain":      {"image": image},
		"everything": {"image": image, "database": map[string]any{"secretName": "db"}, "replicas": 2, "tls": map[string]any{"secretName": "t"}, "hub": map[string]any{"enabled": true}, "monitoring": map[string]any{"prometheusRule": true, "dashboard": true}},
	} {
		for _, m := range lint.RunAll("chart", values, "bailey").Messages {
			if m.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func rendered(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	objects, err := deploy.Objects(deploy.Release{Name: "bailey", Namespace: "bailey", Values: values})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// policies are the network policies that are rendered, by name.
func policies(t *testing.T, values map[string]any) map[string]*networkingv1.NetworkPolicy {
	t.Helper()
	all := map[string]*networkingv1.NetworkPolicy{}
	for _, o := range rendered(t, values) {
		if o.GetKind() == "NetworkPolicy" {
			p := &networkingv1.NetworkPolicy{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, p); err != nil {
				t.Fatal(err)
			}
			all[p.Name] = p
		}
	}
	return all
}

// peers are of a network policy.
var peers = []any{map[string]any{"ipBlock": map[string]any{"cidr": "192.0.2.0/24"}}}

func TestRefusedValues(t *testing.T) {
	for want, values := range map[string]map[string]any{
		"make image":          {},
		"imagee":              {"imagee": image},
		"alertmanagers":       {"image": image, "alerts": map[string]any{"alertmanagers": []any{"http://me:secret@a:9093"}}},
		"keep":                {"image": image, "keep": "ninety days"},
		"severity":            {"image": image, "alerts": map[string]any{"severity": "none"}},
		"database.secretName": {"image": image, "replicas": 2},
		"tls.secretName":      {"image": image, "replicas": 2, "database": map[string]any{"secretName": "db"}},
		"push.secretName":     {"image": image, "push": map[string]any{"to": "https://hub"}},
		"push":                {"image": image, "push": map[string]any{"to": "http://hub", "secretName": "x"}},
		"plain http":          {"image": image, "alerts": map[string]any{"alertmanagers": []any{"http://a:9093"}}},
		"webhookHTTPSecret":   {"image": image, "alerts": map[string]any{"webhookHTTPSecret": "x"}},
		"externalURL":         {"image": image, "oidc": map[string]any{"issuer": "https://i.example", "clientID": "x"}},
		"providerPorts":       {"image": image, "externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example:8443", "clientID": "x"}},
		"recipients":          {"image": image, "ledger": map[string]any{"recipients": []any{"somebody"}}},
		"propertyName":        {"image": image, "configFiles": map[string]any{"../x": "y"}},
		"get /metrics":        {"image": image, "monitoring": map[string]any{"podMonitor": true}},
		"aggregateTo":         {"image": image, "people": map[string]any{"aggregateTo": []any{"everybody"}}},
		"ingress.host":        {"image": image, "ingress": map[string]any{"enabled": true, "from": peers}},
		"/ingress/host":       {"image": image, "ingress": map[string]any{"host": "https://b.example"}},
		"ingress.from":        {"image": image, "ingress": map[string]any{"enabled": true, "host": "b.example"}},
		"gateway.parentRefs":  {"image": image, "gateway": map[string]any{"enabled": true, "hostnames": []any{"b.example"}, "from": peers}},
		"gateway.hostnames":   {"image": image, "gateway": map[string]any{"enabled": true, "parentRefs": []any{map[string]any{"name": "g"}}, "from": peers}},
		"gateway.from":        {"image": image, "gateway": map[string]any{"enabled": true, "parentRefs": []any{map[string]any{"name": "g"}}, "hostnames": []any{"b.example"}}},
		"requestTimeout":      {"image": image, "gateway": map[string]any{"requestTimeout": "forever"}},
		"trustedProxies":      {"image": image, "trustedProxies": []any{"10.0.0.1"}},
		"outlives the pod":    {"image": image, "prober": map[string]any{"isolated": true}, "persistence": map[string]any{"enabled": false}},
		"/prober/without/0":   {"image": image, "prober": map[string]any{"without": []any{"Shop"}}},
		"/quota/beside/cpu":   {"image": image, "quota": map[string]any{"beside": map[string]any{"cpu": "some"}}},
	} {
		if _, err := deploy.Objects(deploy.Release{Name: "bailey", Namespace: "bailey", Values: values}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", values, err)
		}
	}
}

// TestRights holds the roles to what is promised, whatever the values: no Secrets, no way into
// pods or nodes, nothing written, and wildcards only where the kinds are users'. TestDryRunRights has what the prober may.
func TestRights(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"plain":      {"image": image},
		"everything": {"image": image, "kubeletConfigz": true, "gatekeeper": true, "replicas": 2, "database": map[string]any{"secretName": "db"}, "tls": map[string]any{"secretName": "t"}},
	} {
		granted := map[string]bool{}
		for _, o := range rendered(t, values) {
			if !strings.HasSuffix(o.GetKind(), "Role") || strings.HasSuffix(o.GetName(), "-viewer") || strings.HasSuffix(o.GetName(), "-operator") || strings.HasSuffix(o.GetName(), "-dry-runs") {
				continue
			}
			var role rbacv1.ClusterRole
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
				t.Fatal(err)
			}
			for _, rule := range role.Rules {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						granted[strings.Join(rule.APIGroups, ",")+" "+resource+" "+verb] = true
						reads := slices.Contains([]string{"get", "list", "watch"}, verb)
						question := verb == "create" && slices.Contains([]string{"tokenreviews", "subjectaccessreviews"}, resource)
						prober := verb == "impersonate" && slices.Equal(rule.ResourceNames, []string{"bailey-prober"}) && o.GetKind() == "Role"
						lease := resource == "leases" && o.GetKind() == "Role" && (verb == "create" || verb == "update" && slices.Equal(rule.ResourceNames, []string{"bailey"}))
						if resource == "leases" && name == "plain" {
							t.Errorf("one replica needs no Lease, and may %s", verb)
						}
						if !reads && !question && !prober && !lease {
							t.Errorf("%s: role %s gives %s on %s", name, o.GetName(), verb, resource)
						}
						if resource == "secrets" || resource == "*" && !slices.Equal(rule.APIGroups, []string{"constraints.gatekeeper.sh"}) ||
							strings.Contains(resource, "/") && (resource != "nodes/configz" || name == "plain") {
							t.Errorf("%s: role %s gives %s on %s of %q", name, o.GetName(), verb, resource, rule.APIGroups)
						}
					}
				}
			}
		}
		for _, want := range []string{" pods watch", " namespaces get", "apps deployments list", "authentication.k8s.io tokenreviews create"} {
			if !granted[want] {
				t.Errorf("%s: not granted: %s", name, want)
			}
		}
	}
}

// TestEverySwitch renders each value that adds to the pod, and sees it there.
func TestEverySwitch(t *testing.T) {
	for flag, values := range map[string]map[string]any{
		"--tls-self-signed=bailey.bailey.svc":                           {},
		"--tls-cert=/etc/bailey/tls/tls.crt":                            {"tls": map[string]any{"secretName": "x"}},
		"--database=/etc/bailey/database/url":                           {"database": map[string]any{"secretName": "x"}},
		"--prove-every=0":                                               {"prober": map[string]any{"enabled": false}},
		"--prove-every=1h":                                              {},
		"--prove-every=2h":                                              {"prober": map[string]any{"every": "2h"}},
		"--prove-as=system:serviceaccount:bailey:bailey-prober":         {},
		"--alert-webhook=/etc/bailey/alert-webhook/webhook":             {"alerts": map[string]any{"webhookSecret": "x"}},
		"--dead-man=/etc/bailey/dead-man/url":                           {"alerts": map[string]any{"deadManSecret": "x"}},
		"--alertmanager=https://b:9093":                                 {"alerts": map[string]any{"alertmanagers": []any{"https://a:9093", "https://b:9093"}}},
		"--alertmanager=http://b:9093":                                  {"alerts": map[string]any{"alertmanagers": []any{"http://b:9093"}, "plainHTTP": true}},
		"--external-url=https://b.example/":                             {"externalURL": "https://b.example/"},
		"--alert-plain-http":                                            {"alerts": map[string]any{"plainHTTP": true}},
		"--alert-webhook-http=/etc/bailey/alert-webhook-http/http.yaml": {"alerts": map[string]any{"webhookSecret": "x", "webhookHTTPSecret": "y"}},
		"--alertmanager-http=/etc/bailey/alertmanager-http/http.yaml":   {"alerts": map[string]any{"alertmanagers": []any{"https://a"}, "alertmanagerHTTPSecret": "y"}},
		"--keep=2160h":                                                  {},
		"--alert-severity=critical":                                     {"alerts": map[string]any{"severity": "critical"}},
		"--keep=48h":                                                    {"keep": "48h"},
		"--keep=0":                                                      {"keep": 0},
		"--kubelet-configz":                                             {"kubeletConfigz": true},
		"--replicate":                                                   {"replicas": 2, "database": map[string]any{"secretName": "x"}, "tls": map[string]any{"secretName": "t"}},
		"--hub":                                                         {"hub": map[string]any{"enabled": true}},
		"--push-to=https://hub":                                         {"push": map[string]any{"to": "https://hub", "secretName": "x"}},
		"--push-ca=/etc/bailey/push-ca/ca.crt":                          {"push": map[string]any{"to": "https://hub", "secretName": "x", "caConfigMap": "y"}},
		"--oidc-client-id=a: b #c":                                      {"externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example", "clientID": "a: b #c"}},
		"--offline":                                                     {"extraArgs": []any{"--offline"}},
		"--oidc-client-secret=/etc/bailey/oidc/client-secret":           {"externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example", "clientID": "x", "secretName": "s"}},
		"--oidc-ca=/etc/bailey/oidc-ca/ca.crt":                          {"externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example", "clientID": "x", "caSecretName": "s"}},
		"--trusted-proxies=10.0.0.0/8,2001:db8::/32":                    {"trustedProxies": []any{"10.0.0.0/8", "2001:db8::/32"}},
		"--prove-control=compute/*,access/tls":                          {"prober": map[string]any{"controls": []any{"compute/*", "access/tls"}}},
		"--isolated":                                                    {"prober": map[string]any{"isolated": true}},
		"--probe-image=" + image:                                        {"prober": map[string]any{"isolated": true}},
		"--prove-rate=50":                                               {"prober": map[string]any{"rate": 50}},
		"--ledger=/data/ledger":                                         {},
		"--ledger-recipient=age1x":                                      {"ledger": map[string]any{"recipients": []any{"age1x"}}},
		"--config=/etc/bailey/config/bailey.yaml":                       {"config": map[string]any{"failOn": "high"}},
		"--oidc-username-prefix=-":                                      {"externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example", "clientID": "x", "usernamePrefix": "-"}},
	} {
		values["image"] = image
		var pod corev1.PodSpec
		for _, o := range rendered(t, values) {
			if o.GetKind() == "Deployment" {
				spec, _, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
				if err == nil {
					err = runtime.DefaultUnstructuredConverter.FromUnstructured(spec, &pod)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(pod.Containers) != 1 || !slices.Contains(pod.Containers[0].Args, flag) {
			t.Fatalf("%s is not there with %v", flag, values)
		}
		for _, m := range pod.Containers[0].VolumeMounts {
			if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name }) {
				t.Errorf("%s: volume %s is mounted and not there", flag, m.Name)
			}
		}
	}
}

// TestConfiguration: the ConfigMap holds what the values say, another configuration makes other pods, and no
// ledger is kept where it would end with the pod or have two writers.
func TestConfiguration(t *testing.T) {
	pods := func(values map[string]any) (template, config map[string]any) {
		values["image"] = image
		for _, o := range rendered(t, values) {
			var err error
			switch {
			case o.GetKind() == "Deployment":
				template, _, err = unstructured.NestedMap(o.Object, "spec", "template")
			case o.GetKind() == "ConfigMap" && o.GetName() == "bailey-config":
				config, _, err = unstructured.NestedMap(o.Object, "data")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return template, config
	}
	of := func(severity string) map[string]any {
		return map[string]any{"config": map[string]any{"failOn": severity, "baseline": "known.json"}, "configFiles": map[string]any{"known.json": "{}\n"}}
	}
	one, config := pods(of("high"))
	if want := map[string]any{"bailey.yaml": "baseline: known.json\nfailOn: high\n", "known.json": "{}\n"}; !maps.Equal(config, want) {
		t.Errorf("%q", config)
	}
	annotation := func(template map[string]any) string {
		text, _, _ := unstructured.NestedString(template, "metadata", "annotations", "bailey.dev/config")
		return text
	}
	if other, _ := pods(of("low")); annotation(one) == "" || annotation(one) == annotation(other) {
		t.Errorf("another configuration makes the same pods: %q", annotation(one))
	}
	for _, values := range []map[string]any{{"persistence": map[string]any{"enabled": false}}, {"ledger": map[string]any{"enabled": false}},
		{"replicas": 2, "database": map[string]any{"secretName": "db"}, "tls": map[string]any{"secretName": "t"}}} {
		template, _ := pods(values)
		text, err := json.Marshal(template)
		if err != nil || strings.Contains(string(text), "--ledger") {
			t.Errorf("%v: a ledger is kept: %v", values, err)
		}
	}
}

// TestEgress: the server may reach what the values name, at the ports of their URLs, and where values
// say where that is, nothing else.
func TestEgress(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]any
		key    string // of networkPolicy
		ports  []string
	}{
		"webhook":       {map[string]any{"alerts": map[string]any{"webhookSecret": "x", "ports": []any{443, 8443}}}, "alerts", []string{"443", "8443"}},
		"dead man":      {map[string]any{"alerts": map[string]any{"deadManSecret": "x"}}, "alerts", []string{"443"}},
		"Alertmanagers": {map[string]any{"alerts": map[string]any{"alertmanagers": []any{"https://a:9093", "https://b:9093/x", "https://[2001:db8::1]:9", "https://c", "http://d"}, "plainHTTP": true}}, "alertmanagers", []string{"9093", "9", "443", "80"}},
		"hub":           {map[string]any{"push": map[string]any{"to": "https://hub.example.com:8443", "secretName": "x"}}, "hub", []string{"8443"}},
		"hub by name":   {map[string]any{"push": map[string]any{"to": "https://hub.example.com/", "secretName": "x"}}, "hub", []string{"8443", "443"}},
		"provider":      {map[string]any{"externalURL": "https://b.example", "oidc": map[string]any{"issuer": "https://i.example", "clientID": "x"}}, "provider", []string{"443"}},
		"database":      {map[string]any{"database": map[string]any{"secretName": "x", "port": 6432}}, "database", []string{"6432"}},
		"API server":    {map[string]any{}, "apiServer", []string{"443", "6443"}},
	} {
		rules := func(values map[string]any) map[string]bool {
			values["image"] = image
			all := map[string]bool{}
			for _, rule := range policies(t, values)["bailey"].Spec.Egress {
				var ports []string
				for _, port := range rule.Ports {
					ports = append(ports, port.Port.String())
				}
				to := "anywhere"
				if len(rule.To) == 1 && rule.To[0].IPBlock != nil {
					to = rule.To[0].IPBlock.CIDR
				}
				all[strings.Join(ports, ",")+" "+to] = true
			}
			return all
		}
		ports := strings.Join(c.ports, ",")
		if got := rules(maps.Clone(c.values)); !got[ports+" anywhere"] {
			t.Errorf("%s: %v", name, got)
		}
		narrow := maps.Clone(c.values)
		narrow["networkPolicy"] = map[string]any{c.key: peers}
		if got := rules(narrow); !got[ports+" 192.0.2.0/24"] || got[ports+" anywhere"] {
			t.Errorf("%s, narrowed: %v", name, got)
		}
	}
}

// TestReplicas: several are kept apart, are not all evicted at once, share no volume that
// one node alone can mount, and keep no browser at one of them; one needs none of it.
func TestReplicas(t *testing.T) {
	for replicas, several := range map[int]bool{1: false, 2: true} {
		has := map[string]bool{}
		for _, o := range rendered(t, map[string]any{"image": image, "replicas": replicas, "database": map[string]any{"secretName": "x"}, "tls": map[string]any{"secretName": "t"}}) {
			has[o.GetKind()] = true
			affinity, _, _ := unstructured.NestedMap(o.Object, "spec", "template", "spec", "affinity", "podAntiAffinity")
			has["affinity"] = has["affinity"] || affinity != nil
			if sticky, found, _ := unstructured.NestedString(o.Object, "spec", "sessionAffinity"); found {
				t.Errorf("%d replicas: a browser stays with one by its %s", replicas, sticky)
			}
		}
		if has["PodDisruptionBudget"] != several || has["affinity"] != several || has["PersistentVolumeClaim"] == several {
			t.Errorf("%d replicas: %v", replicas, has)
		}
	}
}

func readChart(t *testing.T, name string) string {
	t.Helper()
	data, err := readFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var metricName = regexp.MustCompile(`\bbailey_[a-z_]+`)

// othersMetric is of the names that a process has by itself elsewhere.
var othersMetric = regexp.MustCompile(`\b(go|process|promhttp)_`)

// TestMetricsExist: what alerts and dashboard ask for, the server has.
func TestMetricsExist(t *testing.T) {
	have := served(t)
	for _, file := range []string{"files/alerts.yaml", "files/dashboard.json"} {
		text := readChart(t, file)
		names := metricName.FindAllString(text, -1)
		if len(names) < 8 {
			t.Fatalf("%s asks for %d metrics: the test sees nothing", file, len(names))
		}
		for _, name := range names {
			plain := name
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				if base, found := strings.CutSuffix(name, suffix); found && have[base] != "" {
					plain = base
				}
			}
			if have[plain] == "" {
				t.Errorf("%s asks for %s, which the server does not have", file, name)
			}
		}
		for _, m := range regexp.MustCompile(`(bailey_[a-z_]+)\{([a-z]+)`).FindAllStringSubmatch(strings.ReplaceAll(text, "_count{", "{"), -1) {
			if !strings.Contains(have[m[1]], m[2]) {
				t.Errorf("%s asks for label %s of %s, which has no such label: %s", file, m[2], m[1], have[m[1]])
			}
		}
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readChart(t, "files/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if !metricName.MatchString(target.Expr) || othersMetric.MatchString(target.Expr) {
				t.Errorf("panel %d asks for what is not Bailey's: %s", p.ID, target.Expr)
			}
		}
		if seen[p.ID] || len(p.Targets) == 0 {
			t.Errorf("panel %d is twice there, or shows nothing", p.ID)
		}
		seen[p.ID] = true
	}
}
