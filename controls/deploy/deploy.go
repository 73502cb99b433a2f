// Package deploy declares the controls about putting workloads into the cluster.
package deploy

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Admission,
		ImageIdentity,
		Foundation,
	}
}
