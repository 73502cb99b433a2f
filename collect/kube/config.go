package kube

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// configure finds the cluster and the credentials, and names the context.
func configure(o Options) (*rest.Config, string, error) {
	config, name, err := find(o)
	if err != nil {
		return nil, "", err
	}
	if o.Offline && (config.ExecProvider != nil || config.AuthProvider != nil) {
		return nil, "", fmt.Errorf("context %q gets its credentials from a program, which may open sockets of its own; --offline forbids that\nhint: use a context with a token or a client certificate, or leave out --offline", name)
	}
	config = rest.CopyConfig(config)
	config.UserAgent = o.UserAgent
	config.Timeout = 0 // each request has its own limit
	config.QPS, config.RateLimiter = -1, nil
	if o.Around != nil {
		o.Around(config)
	}
	return config, name, nil
}

func find(o Options) (*rest.Config, string, error) {
	if o.RESTConfig != nil {
		return o.RESTConfig, o.Context, nil
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	rules.WarnIfAllMissing = false
	raw, err := rules.Load()
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w\nhint: name one with --kubeconfig or $KUBECONFIG", err)
	}
	if len(raw.Contexts) == 0 {
		return inCluster(rules, o)
	}
	name := o.Context
	if name == "" {
		name = raw.CurrentContext
	}
	if name == "" {
		return nil, "", fmt.Errorf("the kubeconfig has no current context\nhint: choose one with --context: %s", contextNames(raw))
	}
	if _, found := raw.Contexts[name]; !found {
		return nil, "", fmt.Errorf("the kubeconfig has no context %q\nhint: choose one with --context: %s", name, contextNames(raw))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*raw, name, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, "", fmt.Errorf("use context %q of the kubeconfig: %w\nhint: `kubectl --context %s config view --minify` shows it", name, err, name)
	}
	return config, name, nil
}

// InCluster reports whether this is a pod for which no kubeconfig is there: its cluster is the only one that can be meant.
func InCluster() bool {
	if _, err := rest.InClusterConfig(); err != nil {
		return false
	}
	raw, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	return err == nil && len(raw.Contexts) == 0
}

// inCluster uses what Kubernetes gives a pod, where no kubeconfig was found.
func inCluster(rules *clientcmd.ClientConfigLoadingRules, o Options) (*rest.Config, string, error) {
	config, err := rest.InClusterConfig()
	switch {
	case err == nil && o.Kubeconfig == "" && o.Context == "":
		return config, "in-cluster", nil
	case o.Kubeconfig != "":
		return nil, "", fmt.Errorf("the kubeconfig %s names no context\nhint: is it a kubeconfig, and not empty?", o.Kubeconfig)
	case err != nil && !errors.Is(err, rest.ErrNotInCluster):
		return nil, "", fmt.Errorf("use the pod's own credentials: %w\nhint: set automountServiceAccountToken: true for this pod", err)
	}
	looked := slices.DeleteFunc(rules.GetLoadingPrecedence(), func(path string) bool { return path == "" })
	return nil, "", fmt.Errorf("no cluster to read: no kubeconfig at %s, and this is no pod\nhint: name one with --kubeconfig or $KUBECONFIG, or scan a folder of manifests",
		strings.Join(looked, string(os.PathListSeparator)))
}

// contextNames lists the contexts for a hint.
func contextNames(raw *clientcmdapi.Config) string {
	names := make([]string, 0, len(raw.Contexts))
	for name := range raw.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	const most = 20
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("... (%d more)", more))
	}
	return strings.Join(names, ", ")
}
