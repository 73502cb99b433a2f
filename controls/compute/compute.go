// Package compute declares the controls about running workloads on nodes.
package compute

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		PodSecurity,
		NodeOS,
		Quotas,
		NodeIsolation,
		Sandbox,
		Syscalls,
	}
}
