package develop

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/services"
	"github.com/baileyhq/bailey/derive/network"
)

var serviceDocs = ref.Kubernetes("concepts/services-networking/service/", "Service")

var onServices = []bailey.Kind{bailey.KindService}

var servicePlainHTTP = &bailey.Rule{
	Name:  "service-plain-http",
	Title: "Load balancer serves plain HTTP only",
	Doc: `Reads Services of type LoadBalancer: a port that is HTTP by its number (80), name or application protocol,
and none that is HTTPS. A Service with both is taken for one whose HTTP port redirects, which objects do
not show.

Not found: balancers that are internal, that only listed ranges may reach, that terminate TLS by
annotation, and those that a Gateway made, where the Gateway is judged.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{serviceDocs, ref.NIST("SC-8"), ref.ATTACK("T1190")},
	On:       onServices,
	Check:    checkServicePlainHTTP,
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
`},
}

func checkServicePlainHTTP(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	s, ok := bailey.As[*corev1.Service](f)
	if !ok || s.Spec.Type != corev1.ServiceTypeLoadBalancer || !public(s) || terminatesTLS(s) || f.Owner.Kind == bailey.KindGateway {
		return nil
	}
	plain := -1
	for i := range s.Spec.Ports {
		switch p := &s.Spec.Ports[i]; {
		case isHTTPS(p):
			return nil
		case plain < 0 && isHTTP(p) && sensitivePort(p) == "": // one finding is enough
			plain = i
		}
	}
	if plain < 0 {
		return nil
	}
	return []bailey.Finding{portFinding(s, plain, "port "+strconv.Itoa(int(s.Spec.Ports[plain].Port))+" serves plain HTTP through a load balancer, and no port has TLS")}
}

func isHTTP(p *corev1.ServicePort) bool {
	if p.Protocol == corev1.ProtocolUDP {
		return false
	}
	if p.AppProtocol != nil {
		return strings.EqualFold(*p.AppProtocol, "http") || *p.AppProtocol == "kubernetes.io/ws"
	}
	return p.Port == 80 || p.Name == "http" || strings.HasPrefix(p.Name, "http-")
}

func isHTTPS(p *corev1.ServicePort) bool {
	if p.AppProtocol != nil {
		switch strings.ToLower(*p.AppProtocol) {
		case "https", "tls", "kubernetes.io/wss":
			return true
		}
	}
	return p.Port == 443 || p.Port == 8443 || strings.HasPrefix(p.Name, "https") || strings.HasPrefix(p.Name, "tls")
}

// portFinding is a finding about a port of a Service.
func portFinding(s *corev1.Service, i int, message string) bailey.Finding {
	p := &s.Spec.Ports[i]
	name := p.Name
	if name == "" {
		name = strconv.Itoa(int(p.Port))
	}
	return bailey.Finding{Field: "spec.ports[" + strconv.Itoa(i) + "].port", Named: "spec.ports[" + name + "].port", Message: message}
}

// public reports whether a load balancer takes connections from everywhere, as
// far as its Service says.
func public(s *corev1.Service) bool {
	if network.InternalBalancer(s) {
		return false
	}
	if ranges := s.Annotations[network.SourceRangesAnnotation]; ranges != "" && !anywhere(strings.Split(ranges, ",")) {
		return false
	}
	return len(s.Spec.LoadBalancerSourceRanges) == 0 || anywhere(s.Spec.LoadBalancerSourceRanges)
}

// anywhere reports whether one of the ranges takes in every address.
func anywhere(ranges []string) bool {
	for _, r := range ranges {
		if strings.HasSuffix(strings.TrimSpace(r), "/0") {
			return true
		}
	}
	return false
}

// terminatesTLS reports whether the balancer holds a certificate.
func terminatesTLS(s *corev1.Service) bool {
	for key, value := range s.Annotations {
		switch key {
		case "service.beta.kubernetes.io/aws-load-balancer-ssl-cert",
			"service.beta.kubernetes.io/do-loadbalancer-certificate-id",
			"service.beta.kubernetes.io/oci-load-balancer-tls-secret",
			"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-cert-id",
			"cloud.google.com/app-protocols":
			if value != "" {
				return true
			}
		}
	}
	return false
}

var serviceSensitivePort = &bailey.Rule{
	Name:  "service-sensitive-port",
	Title: "A database, debug or administration port is published",
	Doc: `Reads the ports of Services of type LoadBalancer and NodePort, by number, target and name: databases and
caches, etcd, the kubelet, a container runtime, debuggers and profilers.

Such a port is reached from outside the cluster, past its network policies' usual care, often with no
more than a password. Through a public load balancer that is high, through a node port, which needs a
way to the nodes, medium. Balancers that are internal or that only listed ranges may reach are not found.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{serviceDocs, ref.NIST("SC-7"), ref.ATTACK("T1133"),
		ref.NSA("Network separation and hardening")},
	On:    onServices,
	Check: checkServiceSensitivePort,
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok {
			return nil
		}
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: services.Inward(s),
			Note: "clients outside the cluster then need another way: port-forward, a VPN, or a Service with loadBalancerSourceRanges"}}
	},
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: db}
  ports: [{port: 5432, nodePort: 31432}]
`},
}

func checkServiceSensitivePort(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
	s, ok := bailey.As[*corev1.Service](f)
	if !ok {
		return nil
	}
	var severity bailey.Severity
	var through string
	switch s.Spec.Type {
	case corev1.ServiceTypeLoadBalancer:
		if !public(s) {
			return nil
		}
		severity, through = bailey.SeverityHigh, "a load balancer"
	case corev1.ServiceTypeNodePort:
		severity, through = bailey.SeverityMedium, "a port of every node"
	default:
		return nil
	}
	var found []bailey.Finding
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		what := sensitivePort(p)
		if what == "" {
			continue
		}
		x := portFinding(s, i, what+" (port "+strconv.Itoa(int(p.Port))+") is published through "+through)
		x.Severity = severity
		found = append(found, x)
	}
	return found
}

// sensitivePort says what a port serves that should not be published, or "".
func sensitivePort(p *corev1.ServicePort) string {
	if p.Protocol == corev1.ProtocolUDP {
		return ""
	}
	if what := sensitiveNumbers[p.TargetPort.IntVal]; what != "" {
		return what
	}
	if what := sensitiveNumbers[p.Port]; what != "" {
		return what
	}
	if what := sensitiveNames[p.TargetPort.StrVal]; what != "" {
		return what
	}
	return sensitiveNames[p.Name]
}

// sensitiveNumbers says what ports serve that should not be published.
var sensitiveNumbers = map[int32]string{
	5432: "PostgreSQL", 3306: "MySQL", 1433: "SQL Server", 1521: "Oracle Database", 27017: "MongoDB", 6379: "Redis",
	11211: "memcached", 9042: "Cassandra", 5984: "CouchDB", 9200: "Elasticsearch", 9300: "Elasticsearch",
	2379: "etcd", 2380: "etcd", 2181: "ZooKeeper", 2375: "Docker's API", 2376: "Docker's API",
	10250: "the kubelet's API", 10255: "the kubelet's API", 9229: "a Node.js debugger",
}

// sensitiveNames is sensitiveNumbers by the names of ports.
var sensitiveNames = map[string]string{
	"pprof": "a debug port", "debug": "a debug port", "debugger": "a debug port", "jdwp": "a debug port", "jmx": "a debug port", "jmxrmi": "a debug port",
	"postgres": "postgres", "postgresql": "postgresql", "mysql": "mysql", "mongodb": "mongodb", "redis": "redis", "memcached": "memcached",
	"cassandra": "cassandra", "etcd": "etcd", "etcd-client": "etcd-client", "zookeeper": "zookeeper",
}

var serviceExternalIPs = &bailey.Rule{
	Name:  "service-external-ips",
	Title: "Service claims external addresses",
	Doc: `Reads ` + "`spec.externalIPs`" + ` of Services.

Nothing checks who owns an address that a Service claims: whoever may write Services can draw traffic to
any address, from every node and pod, to pods of theirs (CVE-2020-8554). Kubernetes deprecates the field
since 1.36; a Service of type LoadBalancer takes its place.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{
		ref.CIS("1.2.3", "External addresses of Services are refused"),
		ref.Page("CVE", "CVE-2020-8554: man in the middle using LoadBalancer or ExternalIPs", "https://github.com/kubernetes/kubernetes/issues/97076"),
		serviceDocs,
		ref.Kubernetes("reference/access-authn-authz/admission-controllers/", "Admission Control in Kubernetes: DenyServiceExternalIPs"),
	},
	On: onServices,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok || len(s.Spec.ExternalIPs) == 0 {
			return nil
		}
		return []bailey.Finding{{Field: "spec.externalIPs", Message: "claims " + strings.Join(s.Spec.ExternalIPs, ", ")}}
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, _ bailey.Finding) []bailey.Change {
		return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion, Patch: []bailey.PatchOp{{Op: "remove", Path: "/spec/externalIPs"}},
			Note: "clients that use these addresses need a Service of type LoadBalancer"}}
	},
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad}
spec:
  selector: {app: web}
  ports: [{port: 443}]
  externalIPs: [192.0.2.7]
`},
}

var serviceAlias = &bailey.Rule{
	Name:  "service-alias-inward",
	Title: "Service is an alias of a node's own or a cloud metadata address",
	Doc: `Reads ` + "`spec.externalName`" + ` of Services of type ExternalName: loopback names and addresses, and the names and
addresses at which clouds serve instance metadata.

An ingress controller or proxy that follows such an alias connects to itself, or fetches the node's
credentials for whoever asks (server-side request forgery). Aliases of other addresses and of Services in other
namespaces are service-alias-around's.`,
	Severity: bailey.SeverityHigh,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/services-networking/service/#externalname", "Service: type ExternalName"), ref.ATTACK("T1552.007")},
	On:       onServices,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		s, ok := bailey.As[*corev1.Service](f)
		if !ok || s.Spec.Type != corev1.ServiceTypeExternalName || !pointsInward(s.Spec.ExternalName) {
			return nil
		}
		return []bailey.Finding{{Field: "spec.externalName", Message: "an alias of " + s.Spec.ExternalName}}
	},
	Bad: []string{`apiVersion: v1
kind: Service
metadata: {name: bad}
spec: {type: ExternalName, externalName: metadata.google.internal}
`},
}

func pointsInward(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	switch name {
	case "localhost", "localhost.localdomain", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal":
		return true
	}
	if strings.HasSuffix(name, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(name)
	return err == nil && (address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsUnspecified() ||
		address == alibabaMetadata || address == awsMetadata6)
}

var (
	alibabaMetadata = netip.AddrFrom4([4]byte{100, 100, 100, 200})
	awsMetadata6    = netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54})
)
