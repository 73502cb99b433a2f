package distribute

import (
	"fmt"
	"strings"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

var transportRules = []*bailey.Rule{plainSource}

var fluxDocs = ref.Page("Flux documentation", "Source controllers", "https://fluxcd.io/flux/components/source/")

// argoApplication is Argo CD's object that names what is deployed from where.
const argoApplication bailey.Kind = "Application.argoproj.io"

// fluxSources are Flux's objects that name where something comes from.
var fluxSources = []bailey.Kind{"GitRepository.source.toolkit.fluxcd.io", "HelmRepository.source.toolkit.fluxcd.io",
	"OCIRepository.source.toolkit.fluxcd.io", "Bucket.source.toolkit.fluxcd.io", "ImageRepository.image.toolkit.fluxcd.io"}

func under(m map[string]any, key string) map[string]any {
	child, _ := m[key].(map[string]any)
	return child
}

// plain reports whether an address is one of a protocol without encryption.
func plain(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "git://")
}

var plainSource = &bailey.Rule{
	Name:  "source-plain-text",
	Title: "What is deployed is fetched in plain text",
	Doc: `Reads the addresses from which Flux (GitRepository, HelmRepository, OCIRepository, Bucket, ImageRepository) and Argo
CD (Application) fetch what they deploy: http and git addresses, and insecure: true. Who stands on the way decides
what runs in the cluster, with the rights of whoever deploys.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{fluxDocs, ref.NIST("SC-8"), ref.CNCF(295, "Registries and clients authenticate each other")},
	On:       append([]bailey.Kind{argoApplication}, fluxSources...),
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		object, _ := f.Object.(map[string]any)
		spec := under(object, "spec")
		var found []bailey.Finding
		note := func(field, address string) {
			if plain(address) {
				found = append(found, bailey.Finding{Field: field, Message: "fetches what it deploys in plain text: " + address})
			}
		}
		if f.Kind == argoApplication {
			address, _ := under(spec, "source")["repoURL"].(string)
			note("spec.source.repoURL", address)
			sources, _ := spec["sources"].([]any)
			for i, entry := range sources {
				source, _ := entry.(map[string]any)
				address, _ := source["repoURL"].(string)
				note(fmt.Sprintf("spec.sources[%d].repoURL", i), address)
			}
			return found
		}
		address, _ := spec["url"].(string)
		note("spec.url", address)
		if spec["insecure"] == true && len(found) == 0 {
			found = append(found, bailey.Finding{Field: "spec.insecure", Message: "fetches what it deploys without verifying whom it fetches it from"})
		}
		return found
	},
	Bad: []string{`apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: bad, namespace: flux-system}
spec: {url: "http://charts.example.com", interval: 1h}
`, `apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: bad, namespace: flux-system}
spec: {url: "oci://registry.example.com/app", insecure: true, interval: 1h}
`, `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: bad, namespace: argocd}
spec: {source: {repoURL: "http://git.example.com/app.git", path: .}, destination: {namespace: shop}}
`},
}

var unverifiedSource = &bailey.Rule{
	Name:  "source-unverified",
	Title: "What is deployed is not verified",
	Doc: `Reads Flux's GitRepositories and OCIRepositories, which verify signatures where spec.verify says by whom. Without it
whoever may push, or has the repository, decides what runs.`,
	Severity: bailey.SeverityInfo,
	Refs:     []bailey.Reference{fluxDocs, ref.CNCF(297, "Configuration of workloads is signed"), ref.NIST("CM-14")},
	On:       []bailey.Kind{"GitRepository.source.toolkit.fluxcd.io", "OCIRepository.source.toolkit.fluxcd.io"},
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		object, _ := f.Object.(map[string]any)
		if under(under(object, "spec"), "verify") != nil {
			return nil
		}
		return []bailey.Finding{{Field: "spec.verify", Message: "deploys what it finds, whoever signed it or nobody"}}
	},
	Bad: []string{`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: bad, namespace: flux-system}
spec: {url: "https://git.example.com/app", interval: 1h}
`},
}
