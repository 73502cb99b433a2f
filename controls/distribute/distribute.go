// Package distribute declares the controls about bringing artifacts to the cluster.
package distribute

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Vulnerabilities,
		Components,
		Transport,
		Updates,
		Signatures,
		Advisories,
		RegistryAccess,
	}
}
