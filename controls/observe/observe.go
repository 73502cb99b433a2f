// Package observe declares the controls about seeing what happens.
package observe

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Detection,
		Telemetry,
		Dashboard,
		Ledger,
		MeasuredBoot,
		Time,
	}
}
