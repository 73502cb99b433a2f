// Package access declares the controls about reaching the Kubernetes API.
package access

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		APIServer,
		APIBypass,
		Authentication,
		Authorization,
		ServiceAccounts,
		TLS,
		CertificateSigning,
	}
}
