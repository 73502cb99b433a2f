package access

import (
	"testing"

	"github.com/baileyhq/bailey"
)

// TestMintedIdentityAsksForCertificates: an API server that has lost its
// authorization must accept the request, so that it may not be one that is
// refused for its form.
func TestMintedIdentityAsksForCertificates(t *testing.T) {
	for _, x := range Authorization.Experiments {
		if x.Name != "minted-identity" {
			continue
		}
		for _, p := range x.Plan(bailey.NewView(bailey.NewBuilder(bailey.Meta{}).Snapshot()), bailey.Ref{}) {
			if p.Try.Request == nil || p.Try.Request.Resource != "certificatesigningrequests" {
				continue
			}
			spec, _ := p.Try.Request.Object["spec"].(map[string]any)
			if spec["request"] == nil || spec["signerName"] == nil || spec["usages"] == nil {
				t.Errorf("%s: the request lacks what every one has: %v", p.Name, spec)
			}
			return
		}
	}
	t.Fatal("no experiment asks for a certificate")
}
