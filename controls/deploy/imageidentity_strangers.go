package deploy

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/rbac"
)

var strangersRefused = &bailey.Experiment{
	Name:  "strangers-refused",
	Title: "Images that the trust policy does not admit are refused every way",
	Doc: `Tries the images that are named to be tried: by --try-image, or images.try in bailey.yaml. Bailey makes and
pushes none. What each of them is it looks up in the registry, by the trust policy, before anything is tried: one that
bears nothing, one that bears signatures which do not count, a tag that had another digest
(registry.example.com/shop/web:1@sha256:..., where that digest is what it had), or one that no rule names. An image
that its registry does not have is not tried, for then the registry refuses it and no gate; nor is one that the policy
admits.

The policy says that they must be refused: the platform is not asked whether it claims so. Where there is no gate, where
one that fails open is down, or where one asks for names and digests only, the experiment is broken. The twin of each
try has an image for which somebody vouches by the policy, of the same repository if there is one, else of the same
registry, else any: one that a workload of the namespace uses, or one that is named too. Where the gate cannot ask the
registry, the twin fails, and nothing is shown. That of a moved tag has a digest, for a platform may refuse every tag. A
refusal counts if it is a webhook's or a policy's.

` + strangerWays,
	Hypothesis: "What the trust policy does not admit the platform refuses, in every kind of container, in volumes and in updates.",
	Danger:     bailey.DangerDryRun,
	Technique:  "T1525",
	Detections: []string{"ephemeral-container", "impersonation", "impersonation-privileged"},
	Scope:      bailey.ScopeCluster,
	Needs:      append(slices.Clone(trialNeeds), bailey.KindImage, bailey.KindImageToTry),
	Derives:    []*bailey.Derivation{rbac.Bindings},
	Window:     7 * 24 * time.Hour,
	Plan:       func(v *bailey.View, _ bailey.Ref) []bailey.Probe { return tryWays(v, strangers(v)) },
}

const strangerWays = `The ways are those of unknown-images-refused, as dry-runs. One namespace is tried in every way, and
8 others in one, of each set of namespaces into which the same gates look (4 at most), none of them included. Left out
are kube-system and its like, and the namespaces of webhooks' own servers, which have to start while those are down.`

// strangers are the images to try that the policy does not admit, each with one beside it
// that it does.
func strangers(v *bailey.View) []forbidden {
	spared := serversOf(v)
	tries := map[string]map[string]*bailey.Image{} // by name and namespace
	var names []string
	for _, f := range v.List(bailey.KindImageToTry, "") {
		image, ok := bailey.As[*bailey.Image](f)
		if !ok {
			continue
		}
		if tries[f.Name] == nil {
			tries[f.Name] = map[string]*bailey.Image{}
			names = append(names, f.Name)
		}
		tries[f.Name][f.Namespace] = image
	}
	slices.Sort(names)
	vouched := vouchedFor(v)
	var all []forbidden
	for _, name := range names {
		for _, namespace := range slices.Sorted(maps.Keys(tries[name])) {
			image := tries[name][namespace]
			what, reference := strange(image)
			ordinary := nearest(vouched[namespace], image)
			if what == "" || ordinary == "" || spared[namespace] {
				continue
			}
			all = append(all, forbidden{
				name: what + " " + shortDigest(name), ordinary: ordinary,
				image: func(string) string { return reference },
				in: func(ns string) bool {
					other := tries[name][ns]
					is, _ := strange(other)
					return is == what && !spared[ns] && slices.Contains(vouched[ns], ordinary)
				},
			})
			break // the first namespace says what is beside it
		}
	}
	return all
}

// strange says what is wrong with an image, and by which reference it is tried; "" if
// nothing that a gate could know is.
func strange(image *bailey.Image) (what, reference string) {
	if image == nil || image.Verified || len(image.Refusals) == 0 {
		return "", ""
	}
	reference = image.Repository + "@" + image.Digest
	reason := image.Refusals[0].Reason
	switch {
	case image.Digest == "" || reason == "not-found":
		return "", ""
	case reason == "unnamed":
		return "image that no rule names", reference
	case image.Was == image.Digest && image.Was != "":
		return "", "" // the tag has not moved
	case image.Was != "":
		return "moved tag", image.Repository + ":" + image.Tag
	case image.Attached == 0:
		return "unsigned image", reference
	}
	return "image that others signed", reference
}

// vouchedFor gives, by namespace, the references of images for which somebody vouches.
func vouchedFor(v *bailey.View) map[string][]string {
	all := map[string][]string{}
	for _, k := range []bailey.Kind{bailey.KindImage, bailey.KindImageToTry} {
		for _, f := range v.List(k, "") {
			image, ok := bailey.As[*bailey.Image](f)
			if !ok || !image.Verified || len(image.Evidence) == 0 || image.Digest == "" {
				continue
			}
			reference := image.Repository + "@" + image.Digest
			if !slices.Contains(all[f.Namespace], reference) {
				all[f.Namespace] = append(all[f.Namespace], reference)
			}
		}
	}
	return all
}

// nearest is the reference that has most in common with the image: one of its repository,
// else of its registry, else any; "" if there is none.
func nearest(references []string, image *bailey.Image) string {
	if len(references) == 0 {
		return ""
	}
	registry, _, _ := strings.Cut(image.Repository, "/")
	distance := func(reference string) int {
		switch {
		case strings.HasPrefix(reference, image.Repository+"@"):
			return 0
		case strings.HasPrefix(reference, registry+"/"):
			return 1
		}
		return 2
	}
	return slices.MinFunc(references, func(a, b string) int { return cmp.Or(distance(a)-distance(b), strings.Compare(a, b)) })
}

// serversOf gives the namespaces in which webhooks' servers run. Bailey's gate, which may
// be called by an address, leaves its own out by name.
func serversOf(v *bailey.View) map[string]bool {
	all := map[string]bool{}
	gate, _ := bailey.As[*admissionv1.ValidatingWebhookConfiguration](v.Get(bailey.KindValidatingWebhookConfiguration, "", imagegate.Name))
	if own := imagegate.Own(gate); own != "" {
		all[own] = true
	}
	add := func(c *admissionv1.WebhookClientConfig) {
		if c.Service != nil {
			all[c.Service.Namespace] = true
		}
	}
	for _, f := range v.List(bailey.KindValidatingWebhookConfiguration, "") {
		if c, ok := bailey.As[*admissionv1.ValidatingWebhookConfiguration](f); ok {
			for i := range c.Webhooks {
				add(&c.Webhooks[i].ClientConfig)
			}
		}
	}
	for _, f := range v.List(bailey.KindMutatingWebhookConfiguration, "") {
		if c, ok := bailey.As[*admissionv1.MutatingWebhookConfiguration](f); ok {
			for i := range c.Webhooks {
				add(&c.Webhooks[i].ClientConfig)
			}
		}
	}
	return all
}
