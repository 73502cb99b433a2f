package kube

import "k8s.io/client-go/rest"

// RESTConfig gives the configuration of the cluster that Collect would read
// with the same kubeconfig and context; see Options for what empty ones mean.
func RESTConfig(kubeconfig, context string) (*rest.Config, error) {
	config, _, err := find(Options{Kubeconfig: kubeconfig, Context: context})
	return config, err
}
