// Package network declares the controls about traffic between workloads.
package network

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Policy,
		Mesh,
		Encryption,
		Plugin,
	}
}
