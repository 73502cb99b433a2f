package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/bounds"
	"github.com/baileyhq/bailey/collect/redact"
)

// kubelet is where a node's kubelet listens, read before the node's status goes.
type kubelet struct {
	node, version string
	addresses     []string
	port          int
}

func kubeletOf(n *corev1.Node) kubelet {
	k := kubelet{node: n.Name, version: n.Status.NodeInfo.KubeletVersion, port: int(n.Status.DaemonEndpoints.KubeletEndpoint.Port)}
	if k.port == 0 {
		k.port = 10250
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			k.addresses = append(k.addresses, a.Address)
		}
	}
	return k
}

// platform gathers the settings of the components: of the control plane and of
// kube-proxy from their pods, of the kubelets, if asked to, from themselves.
func (s *session) platform(ctx context.Context) {
	seen := map[bailey.Kind]bool{}
	for _, f := range s.components {
		seen[f.Kind] = true
	}
	for _, m := range bailey.NoImages() {
		s.builder.Miss(m)
	}
	s.builder.Add(s.components...)
	for _, k := range []bailey.Kind{bailey.KindHost, bailey.KindHostFile, bailey.KindHostCertificate} {
		s.builder.Miss(bailey.Missing{Kind: k, Reason: bailey.ReasonNotCollected, Detail: "the API shows nothing of the machines below it",
			Hint: "run `bailey scan host --save FILE` on each, and give the files to --hosts"})
	}
	managed := !slices.ContainsFunc(bailey.ControlPlane, func(k bailey.Kind) bool { return seen[k] })
	for _, k := range append([]bailey.Kind{bailey.KindKubeProxy}, bailey.ControlPlane...) {
		m := bailey.Missing{Kind: k, Reason: bailey.ReasonNotCollected}
		switch {
		case seen[k]:
			s.builder.Saw(k, "")
			continue
		case !s.podsSeen:
			m.Detail = "the pods of " + systemNamespace + ", which run the platform, were not read"
			m.Hint = "let Bailey list the pods of " + systemNamespace
		case managed && k != bailey.KindKubeProxy && s.provider != nil:
			m.Reason = bailey.ReasonProvider
			m.Detail = s.provider.name + " runs the control plane, whose settings the cluster does not show"
			m.Hint = "ask its API for what you chose (audit log, encryption of Secrets, public endpoint); the rest is its own: " + s.provider.docs
		case managed && k != bailey.KindKubeProxy:
			m.Detail = "the control plane does not run as pods of " + systemNamespace + ", as in managed clusters"
			m.Hint = "ask the provider of the control plane for its settings"
		default:
			m.Detail = k.Program() + " does not run as a pod of " + systemNamespace
		}
		s.builder.Miss(m)
	}
	if s.options.KubeletConfigz && s.nodesSeen {
		s.builder.Saw(bailey.KindKubelet, "")
		s.configz(ctx)
		return
	}
	m := bailey.Missing{Kind: bailey.KindKubelet, Reason: bailey.ReasonNotCollected}
	m.Detail = "the configuration of the kubelets was not read"
	m.Hint = `scan with --kubelet-configz, and the rule {apiGroups: [""], resources: ["nodes/configz"], verbs: ["get"]}`
	if s.options.KubeletConfigz {
		m.Detail += ": the nodes could not be listed"
		m.Hint = "let Bailey list nodes"
	}
	s.builder.Miss(m)
}

// What bounds the reading of one kubelet.
const (
	configzTimeout = 5 * time.Second
	configzSize    = 4 << 20
	configzAtOnce  = 8
)

// configz reads the configuration of each kubelet.
func (s *session) configz(ctx context.Context) {
	type outcome struct {
		kubelet kubelet
		config  map[string]any
		err     error
	}
	client, err := kubeletClient(s.config)
	todo, done := make(chan kubelet), make(chan outcome)
	var group sync.WaitGroup
	for range configzAtOnce {
		group.Go(func() {
			for k := range todo {
				o := outcome{kubelet: k, err: err}
				if err == nil {
					o.config, o.err = readConfigz(ctx, client, k)
				}
				done <- o
			}
		})
	}
	go func() {
		for _, k := range s.kubelets {
			todo <- k
		}
		close(todo)
		group.Wait()
		close(done)
	}()
	for o := range done {
		ref := bailey.Ref{Kind: bailey.KindKubelet, Name: o.kubelet.node}
		if o.err != nil {
			m := bailey.Missing{Kind: ref.Kind, Name: ref.Name, Reason: bailey.ReasonUnreadable, Detail: "read the configuration of the kubelet of " + o.kubelet.node + ": " + short(o.err.Error())}
			m.Hint = "the kubelet's serving certificate must be signed by the cluster's CA (serverTLSBootstrap: true), and its port reachable from here"
			if hasCode(o.err, http.StatusForbidden) || hasCode(o.err, http.StatusUnauthorized) {
				m.Reason = bailey.ReasonForbidden
				m.Hint = `bind a ClusterRole with the rule {apiGroups: [""], resources: ["nodes/configz"], verbs: ["get"]} to this identity`
			}
			s.miss(m, "kubelet of "+o.kubelet.node)
			continue
		}
		s.builder.Add(&bailey.Fact{
			Ref:        ref,
			APIVersion: "bailey.dev/v1",
			Owner:      bailey.Ref{Kind: bailey.KindNode, Name: o.kubelet.node},
			Object:     &bailey.Component{Node: o.kubelet.node, Version: o.kubelet.version, Config: o.config, Answered: true},
		})
	}
}

// kubeletClient speaks to kubelets with the credentials for the API server. It
// trusts what the cluster's CA signed, and nothing else, since it may send a token.
func kubeletClient(config *rest.Config) (*http.Client, error) {
	config = rest.CopyConfig(config)
	if config.Insecure || len(config.CAData) == 0 && config.CAFile == "" {
		return nil, errors.New("the kubeconfig names no CA to know the kubelets by")
	}
	config.ServerName = ""
	// The proxy on the way to the API server does not lead to the nodes.
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return withoutRedirects(client), nil
}

// readConfigz asks a kubelet for its configuration, at the first of its
// addresses that answers.
func readConfigz(ctx context.Context, client *http.Client, k kubelet) (map[string]any, error) {
	err := errors.New("the node has no internal IP address")
	for _, address := range k.addresses {
		var config map[string]any
		if config, err = readConfigzAt(ctx, client, net.JoinHostPort(address, strconv.Itoa(k.port))); err == nil {
			return config, nil
		}
	}
	return nil, err
}

func readConfigzAt(ctx context.Context, client *http.Client, host string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, configzTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/configz", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", acceptJSON)
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := readAll(response, configzSize)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, statusOf(response, body)
	}
	return parseConfigz(body)
}

// parseConfigz takes the KubeletConfiguration out of a kubelet's answer.
func parseConfigz(body []byte) (map[string]any, error) {
	if !bounds.Shallow(body, maxDepth) {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	var answer struct {
		KubeletConfig map[string]any `json:"kubeletconfig"`
	}
	if err := utiljson.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	if len(answer.KubeletConfig) == 0 {
		return nil, errors.New("the answer holds no kubeletconfig")
	}
	// The headers with which the kubelet fetches static pods can hold a token.
	delete(answer.KubeletConfig, "staticPodURLHeader")
	redact.Object(answer.KubeletConfig)
	return answer.KubeletConfig, nil
}
