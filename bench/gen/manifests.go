package gen

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// A Group is one file of manifests: a service of a shop with what it needs.
type Group struct {
	Name    string // unique, fit for a file name
	Objects int    // how many documents YAML holds
	YAML    []byte
}

// Manifests writes exactly n objects as one stream of YAML documents, about 590
// bytes each, comments included. They have the shapes of a well-kept
// demonstration shop: a Deployment, a Service and a ServiceAccount for each
// service, here and there a cache, a second Service or an init container.
func Manifests(w io.Writer, n int, seed uint64) error {
	first := true
	for g := range Groups(n, seed) {
		if !first {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		first = false
		if _, err := w.Write(g.YAML); err != nil {
			return err
		}
	}
	return nil
}

// Groups yields the files of a folder that holds exactly n objects in all: the
// documents that Manifests writes, in the same order.
func Groups(n int, seed uint64) iter.Seq[Group] {
	return func(yield func(Group) bool) {
		r := newRandom(seed)
		for i := 0; n > 0; i++ {
			name := pick(r, words) + "service-" + strconv.Itoa(i)
			docs := makeGroup(r, name)
			docs = docs[:min(n, len(docs))]
			n -= len(docs)
			text := groupComment(r, name) + strings.Join(docs, "---\n")
			if !yield(Group{Name: name, Objects: len(docs), YAML: []byte(text)}) {
				return
			}
		}
	}
}

func groupComment(r random, name string) string {
	return fmt.Sprintf("# %s: made by Bailey's generator. Team %s, revision %d.\n\n", name, pick(r, words), r.IntN(1000))
}

// makeGroup makes the documents of one service. Of every twelve, eight are plain,
// two call many others, one has a cache, one faces the public; now and then
// there is a load generator that nothing calls.
func makeGroup(r random, name string) []string {
	port := r.between(3000, 9999)
	d := deployment{name: name, image: name, account: name, port: port, probe: "grpc"}
	docs := func(more ...string) []string {
		return append([]string{d.yaml(r), serviceYAML(name, name, "ClusterIP", "grpc", port, port), accountYAML(name)}, more...)
	}
	switch kind := r.IntN(24); {
	case kind < 16:
		return docs()
	case kind < 20:
		d.calls = r.between(4, 8)
		return docs()
	case kind < 22:
		cache := deployment{name: "redis-" + name, image: "redis:alpine", port: 6379, probe: "tcpSocket", volume: true}
		d.calls = 1
		return docs(cache.yaml(r), serviceYAML(cache.name, cache.name, "ClusterIP", "tcp-redis", 6379, 6379))
	case kind < 23:
		d.calls, d.probe = 8, "httpGet"
		return docs(serviceYAML(name+"-external", name, "LoadBalancer", "http", 80, port))
	default:
		d.port, d.probe, d.wait = 0, "", true
		return []string{d.yaml(r), accountYAML(name)}
	}
}

type deployment struct {
	name, image, account string
	port                 int
	probe                string // "", grpc, tcpSocket or httpGet
	calls                int    // how many other services it is told of
	volume               bool
	wait                 bool // an init container waits for the front end
}

const containerSecurity = `        securityContext:
          allowPrivilegeEscalation: false
          capabilities:
            drop:
            - ALL
          privileged: false
          readOnlyRootFilesystem: true
`

func (d deployment) yaml(r random) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s\n  labels:\n    app: %s", d.name, d.name)
	line("spec:\n  selector:\n    matchLabels:\n      app: %s", d.name)
	line("  template:\n    metadata:\n      labels:\n        app: %s", d.name)
	if d.probe == "httpGet" || d.wait {
		line("      annotations:\n        sidecar.istio.io/rewriteAppHTTPProbers: \"true\"")
	}
	line("    spec:")
	if d.account != "" {
		line("      serviceAccountName: %s", d.account)
	}
	line("      terminationGracePeriodSeconds: 5")
	line("      securityContext:\n        fsGroup: 1000\n        runAsGroup: 1000\n        runAsNonRoot: true\n        runAsUser: 1000")
	if d.wait {
		line("      initContainers:\n      - name: wait\n        image: busybox:1.37.0@%s", r.digest())
		line("        command:\n        - /bin/sh\n        - -c\n        - |")
		line("          # The front end takes its time on a cold node.\n          until wget -q -O /dev/null \"http://${FRONTEND_ADDR}\"; do")
		line("            echo \"$(date): not yet\"\n            sleep 5\n          done")
		b.WriteString(containerSecurity)
		line("        env:\n        - name: FRONTEND_ADDR\n          value: \"frontend:80\"")
	}
	line("      containers:\n      - name: server")
	b.WriteString(containerSecurity)
	line("        image: %s", d.image)
	if d.port != 0 {
		line("        ports:\n        - containerPort: %d", d.port)
	}
	d.env(r, line)
	for _, kind := range []string{"readinessProbe", "livenessProbe"} {
		switch d.probe {
		case "":
		case "httpGet":
			line("        %s:\n          initialDelaySeconds: 10\n          httpGet:\n            path: \"/_healthz\"\n            port: %d", kind, d.port)
		default:
			line("        %s:\n          periodSeconds: 5\n          %s:\n            port: %d", kind, d.probe, d.port)
		}
	}
	if d.volume {
		line("        volumeMounts:\n        - mountPath: /data\n          name: redis-data")
	}
	cpu, memory := r.between(1, 4)*100, 64<<r.IntN(3)
	line("        resources:\n          requests:\n            cpu: %dm\n            memory: %dMi", cpu, memory)
	line("          limits:\n            cpu: %dm\n            memory: %dMi", 2*cpu, 2*memory)
	if d.volume {
		line("      volumes:\n      - name: redis-data\n        emptyDir: {}")
	}
	return b.String()
}

func (d deployment) env(r random, line func(string, ...any)) {
	if d.account == "" {
		return
	}
	line("        env:")
	if d.port != 0 {
		line("        - name: PORT\n          value: \"%d\"", d.port)
	}
	for i := range d.calls {
		word := pick(r, words)
		line("        - name: %s_SERVICE_%d_ADDR\n          value: \"%sservice:%d\"", strings.ToUpper(word), i, word, r.between(3000, 9999))
	}
	if d.calls > 1 {
		line("        # Uncomment to send traces to the collector.\n        # - name: ENABLE_TRACING\n        #   value: \"1\"")
	}
	line("        - name: DISABLE_PROFILER\n          value: \"1\"")
}

func serviceYAML(name, app, kind, portName string, port, target int) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n  labels:\n    app: %s\n"+
		"spec:\n  type: %s\n  selector:\n    app: %s\n  ports:\n  - name: %s\n    port: %d\n    targetPort: %d\n",
		name, app, kind, app, portName, port, target)
}

func accountYAML(name string) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: " + name + "\n"
}
