package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/derive/detect"
)

// ordinary are events of a cluster at work, in about the shares that they have
// there.
func ordinary() [][]byte {
	const head = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"%s","auditID":"5f0a7a1e-5d1c-4f0e-9c39-0d6f3a2d8a%02d","stage":"ResponseComplete","requestURI":"%s","verb":"%s","user":{"username":"%s","uid":"b6f9","groups":["system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=3b2a9b1e"],"authentication.kubernetes.io/node-name":["n1"],"authentication.kubernetes.io/pod-name":["web-7d9c"],"authentication.kubernetes.io/pod-uid":["0b1c"]}},"sourceIPs":["10.244.1.17"],"userAgent":"operator/v1.4.2 (linux/amd64) kubernetes/$Format","objectRef":{"resource":"%s","namespace":"shop","name":"web","apiGroup":"%s","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},%s"requestReceivedTimestamp":"2026-03-01T12:00:00.123456Z","stageTimestamp":"2026-03-01T12:00:00.133456Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"web/shop\" of Role \"web\" to ServiceAccount \"web/shop\""}}`
	managed := strings.Repeat(`{"manager":"operator","operation":"Update","apiVersion":"v1","time":"2026-03-01T12:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{},"f:status":{}}}}}},`, 6)
	body := `"requestObject":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","managedFields":[` + strings.TrimSuffix(managed, ",") + `]},"data":{"a":"` + strings.Repeat("x", 600) + `"}},`
	var all [][]byte
	for i, e := range []struct{ level, uri, verb, user, resource, group, body string }{
		{"Metadata", "/api/v1/namespaces/shop/configmaps/web", "get", "system:serviceaccount:shop:web", "configmaps", "", ""},
		{"Metadata", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/web?timeout=5s", "update", "system:serviceaccount:shop:web", "leases", "coordination.k8s.io", ""},
		{"Metadata", "/api/v1/namespaces/shop/pods?allowWatchBookmarks=true&resourceVersion=4711&timeoutSeconds=531&watch=true", "watch", "system:serviceaccount:shop:web", "pods", "", ""},
		{"Metadata", "/api/v1/nodes/n1?resourceVersion=0&timeout=10s", "get", "system:node:n1", "nodes", "", ""},
		{"Request", "/api/v1/namespaces/shop/configmaps/web", "update", "system:serviceaccount:shop:web", "configmaps", "", body},
		{"Metadata", "/api/v1/namespaces/shop/secrets/web", "get", "system:node:n1", "secrets", "", ""},
	} {
		all = append(all, fmt.Appendf(nil, head, e.level, i, e.uri, e.verb, e.user, e.resource, e.group, e.body))
	}
	return all
}

func BenchmarkDecode(b *testing.B) {
	lines := ordinary()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := detect.Decode(lines[i%len(lines)], detect.DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	s, err := detect.Compile()
	if err != nil {
		b.Fatal(err)
	}
	var events []*detect.Event
	for _, line := range ordinary() {
		e, err := detect.Decode(line, detect.DefaultLimits)
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, e)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if alerts := s.Match(events[i%len(events)]); len(alerts) > 0 {
			b.Fatalf("an ordinary event raised %+v", alerts)
		}
	}
}

// BenchmarkMatchPod is an event that several expressions look into.
func BenchmarkMatchPod(b *testing.B) {
	s, err := detect.Compile()
	if err != nil {
		b.Fatal(err)
	}
	line := strings.Replace(string(ordinary()[4]), `"resource":"configmaps"`, `"resource":"pods"`, 1)
	line = strings.Replace(line, `"data":{`, `"spec":{"containers":[{"name":"a","image":"b","securityContext":{"privileged":false}}],"volumes":[{"name":"v","emptyDir":{}}]},"data":{`, 1)
	e, err := detect.Decode([]byte(line), detect.DefaultLimits)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Match(e)
	}
}
