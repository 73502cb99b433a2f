package deploy

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imagegate"
)

// TestGatePresent tells a gate in place from one that is there and lets more through.
func TestGatePresent(t *testing.T) {
	type validating = admissionv1.ValidatingWebhookConfiguration
	type mutating = admissionv1.MutatingWebhookConfiguration
	for name, test := range map[string]struct {
		change func(*validating, *mutating)
		scope  string // shop if empty
		lack   string // in place if empty
	}{
		"as it is made":     {change: func(*validating, *mutating) {}},
		"its own namespace": {change: func(*validating, *mutating) {}, scope: "bailey", lack: "leaves bailey alone"},
		"the control plane": {change: func(*validating, *mutating) {}, scope: "kube-system", lack: "leaves kube-system alone"},
		"fails open": {change: func(v *validating, _ *mutating) {
			ignore := admissionv1.Ignore
			v.Webhooks[0].FailurePolicy = &ignore
		}, lack: "fails open"},
		"exempts more": {change: func(v *validating, _ *mutating) {
			e := &v.Webhooks[0].NamespaceSelector.MatchExpressions[0]
			e.Values = append(e.Values, "shop")
		}, lack: "leaves out other namespaces"},
		"pins nothing":   {change: func(_ *validating, m *mutating) { m.Webhooks = nil }, lack: imagegate.PinWebhook + " is missing"},
		"pins pods only": {change: func(_ *validating, m *mutating) { m.Webhooks[0].Rules = m.Webhooks[0].Rules[:1] }, lack: "does not look at CREATE of apps/deployments"},
		"judges nothing": {change: func(v *validating, _ *mutating) { v.Webhooks = v.Webhooks[1:] }, lack: imagegate.ImagesWebhook + " is missing"},
		"somewhere else": {change: func(v *validating, _ *mutating) {
			url := "https://gate.example.com"
			v.Webhooks[0].ClientConfig = admissionv1.WebhookClientConfig{URL: &url}
		}, lack: "outside of the cluster"},
		"two places":   {change: func(_ *validating, m *mutating) { m.Webhooks[0].ClientConfig.Service.Namespace = "shop" }, lack: "calls Service shop/"},
		"another name": {change: func(v *validating, _ *mutating) { v.Name = "gate" }, lack: "no ValidatingWebhookConfiguration"},
	} {
		config := imagegate.Config{Namespace: "bailey", Service: imagegate.Name}
		v, m := config.Validating(), config.Mutating()
		test.change(v, m)
		b := bailey.NewBuilder(bailey.Meta{Medium: "cluster"})
		for _, k := range imagesVerified.Needs {
			b.Saw(k, "")
		}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindValidatingWebhookConfiguration, Name: v.Name}, Object: v},
			&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindMutatingWebhookConfiguration, Name: m.Name}, Object: m})
		scope := "shop"
		if test.scope != "" {
			scope = test.scope
		}
		view := bailey.NewView(b.Snapshot())
		view.Allow(nil, imagesVerified.Needs, nil)
		got := imagesVerified.Present(view, bailey.Ref{Kind: bailey.KindNamespace, Name: scope})
		if got.InPlace != (test.lack == "") || !strings.Contains(got.Why, test.lack) {
			t.Errorf("%s: in place %t: %s", name, got.InPlace, got.Why)
		}
	}
}
