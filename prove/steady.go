package prove

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/baileyhq/bailey"
)

// steady looks whether the platform is well, and says what it saw. An experiment
// on a sick system would show nothing.
func (r *run) steady(ctx context.Context) ([]string, error) {
	ready := r.clients.do(ctx, &bailey.Request{Verb: "get", Path: "/readyz"})
	if ready.code == 401 || ready.code == 403 {
		ready = r.clients.do(ctx, &bailey.Request{Verb: "get", Path: "/version"}) // not everybody may ask for /readyz
	}
	if !ready.accepted {
		return nil, fmt.Errorf("%w: %s: %s\nhint: wait until the API server is ready, then try again", ErrSick, ready.said, ready)
	}
	return []string{fmt.Sprintf("%s: %d in %d ms", ready.said, ready.code, ready.took.Milliseconds())}, nil
}

// baseBindings are the names that every plan may use.
func (r *run) baseBindings() (bindings, error) {
	server, err := url.Parse(r.clients.server)
	if err != nil {
		return nil, err
	}
	host := server.Host
	if server.Port() == "" {
		host = net.JoinHostPort(server.Hostname(), "443")
	}
	ca := string(r.o.Config.CAData)
	if ca == "" && r.o.Config.CAFile != "" {
		data, err := os.ReadFile(r.o.Config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the API server's CA: %w", err)
		}
		ca = string(data)
	}
	pods := r.o.PodAPIServer
	if pods == "" {
		pods = "kubernetes.default.svc:443"
	}
	name := r.o.Config.ServerName
	if name == "" {
		name = server.Hostname()
	}
	return bindings{"apiserverhost": server.Hostname(), "apiservername": name, "run": r.id, "image": r.o.Image, "apiserver": host, "apiserverca": strings.TrimSpace(ca), "podapiserver": pods}, nil
}

// whoAmI asks the API server for whom it takes the prober; empty if it does not say.
func (r *run) whoAmI(ctx context.Context) string {
	a := r.clients.do(ctx, &bailey.Request{Verb: "create", APIVersion: "authentication.k8s.io/v1", Resource: "selfsubjectreviews", Real: true,
		Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}})
	name, _ := lookup(a.output, "status.userInfo.username")
	text, _ := name.(string)
	return text
}
