package deploy

import (
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

var imagesVerified = &bailey.Guard{
	Name:  "images-verified",
	Title: "The gate pins images and verifies who vouches for them",
	Doc: `Bailey's admission webhook (bailey gate) pins tags to digests and refuses images that the trust policy does not admit.

It is in place where both of its webhook configurations look at every request by which an image comes in, fail
closed, and exempt nothing but its own namespace and the control plane's. Objects alone do not put it there: it is
a server. bailey gate --print prints what installs it. What its trust policy asks for, a configuration does not show.`,
	Covers: []*bailey.Rule{invalidReference, latestTag, notPinned, staleImage, notVerified},
	Scope:  bailey.ScopeNamespace,
	Needs:  []bailey.Kind{bailey.KindValidatingWebhookConfiguration, bailey.KindMutatingWebhookConfiguration},
	Objects: func(*bailey.View, bailey.Ref) []bailey.Change {
		return nil
	},
	Present: gatePresent,
}

func gatePresent(v *bailey.View, scope bailey.Ref) bailey.Presence {
	validating, _ := bailey.As[*admissionv1.ValidatingWebhookConfiguration](v.Get(bailey.KindValidatingWebhookConfiguration, "", imagegate.Name))
	mutating, _ := bailey.As[*admissionv1.MutatingWebhookConfiguration](v.Get(bailey.KindMutatingWebhookConfiguration, "", imagegate.Name))
	if validating == nil {
		return bailey.Presence{Why: "no ValidatingWebhookConfiguration " + imagegate.Name}
	}
	// Where it is, the configuration says; that it is one place, the comparison.
	at := slices.IndexFunc(validating.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == imagegate.ImagesWebhook })
	if at < 0 {
		return bailey.Presence{Why: "the gate is there, but webhook " + imagegate.ImagesWebhook + " is missing"}
	}
	service := validating.Webhooks[at].ClientConfig.Service
	if service == nil {
		return bailey.Presence{Why: "the gate is outside of the cluster, so its own namespace is not known"}
	}
	if slices.Contains(imagegate.Exempt(service.Namespace), scope.Name) {
		return bailey.Presence{Why: "the gate leaves " + scope.Name + " alone"}
	}
	want := imagegate.Config{Namespace: service.Namespace, Service: service.Name}
	if lacks := append(want.ValidatingDeviations(validating), want.MutatingDeviations(mutating)...); len(lacks) > 0 {
		return bailey.Presence{Why: "the gate is there, but " + lacks[0]}
	}
	return bailey.Presence{InPlace: true, Why: "the gate's webhooks refuse in " + scope.Name}
}
