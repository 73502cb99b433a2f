// Package develop declares the controls about writing the software.
package develop

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Environment,
		AppDesign,
		ZeroTrust,
		CodeReview,
		ThreatModel,
		Fuzzing,
		Chaos,
	}
}
