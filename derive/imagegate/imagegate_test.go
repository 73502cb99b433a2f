package imagegate

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var config = Config{Namespace: "bailey", Service: Name}

// TestDeviations tells a configuration that is as it should be, or stricter, from every
// one that lets more through.
func TestDeviations(t *testing.T) {
	type hooks = admissionv1.ValidatingWebhookConfiguration
	for name, test := range map[string]struct {
		change func(c *hooks)
		lack   string // none if empty
	}{
		"as it is made":      {change: func(*hooks) {}},
		"without a selector": {change: func(c *hooks) { c.Webhooks[0].NamespaceSelector = nil }},
		"fewer exemptions":   {change: func(c *hooks) { c.Webhooks[0].NamespaceSelector.MatchExpressions[0].Values = []string{"bailey"} }},
		"without conditions": {change: func(c *hooks) { c.Webhooks[0].MatchConditions = nil }},
		"more requests":      {change: func(c *hooks) { c.Webhooks[0].Rules[0].Resources = []string{"*/*"} }},
		"another CA":         {change: func(c *hooks) { c.Webhooks[0].ClientConfig.CABundle = []byte("x") }},
		"more webhooks":      {change: func(c *hooks) { c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{Name: "x.example.com"}) }},
		"it is gone":         {change: func(c *hooks) { c.Webhooks = c.Webhooks[1:] }, lack: ImagesWebhook + " is missing"},
		"the other is gone":  {change: func(c *hooks) { c.Webhooks = c.Webhooks[:1] }, lack: GrantWebhook + " is missing"},
		"fails open":         {change: func(c *hooks) { ignore := admissionv1.Ignore; c.Webhooks[0].FailurePolicy = &ignore }, lack: "fails open"},
		"one API version":    {change: func(c *hooks) { exact := admissionv1.Exact; c.Webhooks[0].MatchPolicy = &exact }, lack: "one API version"},
		"no ephemeral": {change: func(c *hooks) {
			c.Webhooks[0].Rules[0].Resources = slices.Delete(c.Webhooks[0].Rules[0].Resources, 1, 2)
		}, lack: "does not look at CREATE of pods/ephemeralcontainers"},
		"no updates":           {change: func(c *hooks) { c.Webhooks[0].Rules[1].Operations = c.Webhooks[0].Rules[1].Operations[:1] }, lack: "does not look at UPDATE of apps/deployments"},
		"no subresources":      {change: func(c *hooks) { c.Webhooks[0].Rules[0].Resources = []string{"*"} }, lack: "pods/resize"},
		"cluster-wide objects": {change: func(c *hooks) { wide := admissionv1.ClusterScope; c.Webhooks[0].Rules[2].Scope = &wide }, lack: "batch/jobs"},
		"one more exemption": {change: func(c *hooks) {
			e := &c.Webhooks[0].NamespaceSelector.MatchExpressions[0]
			e.Values = append(e.Values, "shop")
		}, lack: "leaves out other namespaces"},
		"exempt by a label": {change: func(c *hooks) {
			c.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "gate", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"off"}}}}
		}, lack: "leaves out other namespaces"},
		"only some namespaces": {change: func(c *hooks) {
			c.Webhooks[0].NamespaceSelector.MatchLabels = map[string]string{"gate": "on"}
		}, lack: "leaves out other namespaces"},
		"objects left out": {change: func(c *hooks) {
			c.Webhooks[0].ObjectSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "skip", Operator: metav1.LabelSelectorOpDoesNotExist}}}
		}, lack: "leaves out objects"},
		"grants left out": {change: func(c *hooks) {
			c.Webhooks[1].ObjectSelector.MatchExpressions[0].Key = "x"
		}, lack: "leaves out objects"},
		"another condition": {change: func(c *hooks) {
			c.Webhooks[0].MatchConditions = append(c.Webhooks[0].MatchConditions, admissionv1.MatchCondition{Name: "not-admins", Expression: "request.userInfo.username != 'admin'"})
		}, lack: `has the match condition "not-admins"`},
		"little time":    {change: func(c *hooks) { one := int32(1); c.Webhooks[0].TimeoutSeconds = &one }, lack: "waits 1 s"},
		"another server": {change: func(c *hooks) { c.Webhooks[0].ClientConfig.Service.Namespace = "evil" }, lack: "calls Service evil/bailey-gate:443/images"},
		"another path":   {change: func(c *hooks) { c.Webhooks[0].ClientConfig.Service.Path = nil }, lack: "calls Service"},
		"an address":     {change: func(c *hooks) { u := "https://evil.example.com"; c.Webhooks[0].ClientConfig.URL = &u }, lack: "calls https://evil.example.com"},
	} {
		got := config.Validating()
		test.change(got)
		deviations := config.ValidatingDeviations(got)
		if (len(deviations) == 0) != (test.lack == "") || !strings.Contains(strings.Join(deviations, "\n"), test.lack) {
			t.Errorf("%s: %q", name, deviations)
		}
	}
	if d := config.ValidatingDeviations(nil); len(d) != 1 {
		t.Errorf("none: %q", d)
	}
	if d := config.MutatingDeviations(config.Mutating()); len(d) != 0 {
		t.Errorf("the mutating one as it is made: %q", d)
	}
	mutating := config.Mutating()
	mutating.Webhooks = mutating.Webhooks[:1]
	if d := config.MutatingDeviations(mutating); len(d) != 1 || !strings.Contains(d[0], SealWebhook) {
		t.Errorf("%q", d)
	}
	if d := config.MutatingDeviations(nil); len(d) != 1 {
		t.Errorf("none: %q", d)
	}
}

func TestOwn(t *testing.T) {
	if own := Own(config.Validating()); own != "bailey" {
		t.Errorf("it is %q", own)
	}
	widened, open := config.Validating(), config.Validating()
	values := &widened.Webhooks[0].NamespaceSelector.MatchExpressions[0].Values
	*values = append(*values, "shop")
	open.Webhooks[0].NamespaceSelector = nil
	for name, c := range map[string]*admissionv1.ValidatingWebhookConfiguration{"none": nil, "another namespace is left out": widened, "none is": open} {
		if own := Own(c); own != "" {
			t.Errorf("%s: it is %q", name, own)
		}
	}
}

// TestWarn: a gate that warns is asked with what fails open, writes nothing, and deviates where
// it is asked less; for one that enforces the same is a deviation.
func TestWarn(t *testing.T) {
	for name, c := range map[string]Config{
		"images":          {Namespace: "bailey", Service: Name, Warn: true},
		"images, rules":   {Namespace: "bailey", Service: Name, Warn: true, Rules: true},
		"rules by itself": {Namespace: "bailey", URL: "https://127.0.0.1:1", Warn: true, RulesOnly: true},
	} {
		got := c.Validating()
		for _, w := range got.Webhooks {
			if *w.FailurePolicy != admissionv1.Ignore || *w.TimeoutSeconds != WarnTimeoutSeconds || w.Name == GrantWebhook || c.RulesOnly && w.Name != RulesWebhook {
				t.Errorf("%s: %+v", name, w)
			}
		}
		if c.Mutating() != nil || len(c.MutatingDeviations(nil)) > 0 || len(c.ValidatingDeviations(got)) > 0 {
			t.Errorf("%s: it deviates: %q %q", name, c.MutatingDeviations(nil), c.ValidatingDeviations(got))
		}
		enforces := c
		enforces.Warn = false
		if d := strings.Join(enforces.ValidatingDeviations(got), "\n"); !strings.Contains(d, "fails open") {
			t.Errorf("%s: to one that enforces it is %q", name, d)
		}
		got.Webhooks = got.Webhooks[1:]
		if d := c.ValidatingDeviations(got); len(d) != 1 {
			t.Errorf("%s: without one %q", name, d)
		}
	}
}

// TestWrote: a gate's own configuration is known by all that it does, and not by its name.
func TestWrote(t *testing.T) {
	own := Config{Namespace: "bailey", URL: "https://127.0.0.1:4711", RulesOnly: true, Warn: true}
	type hooks = admissionv1.ValidatingWebhookConfiguration
	for name, test := range map[string]struct {
		change func(c *hooks)
		own    bool
	}{
		"as it is made":         {func(*hooks) {}, true},
		"another CA":            {func(c *hooks) { c.Webhooks[0].ClientConfig.CABundle = []byte("x") }, true},
		"a label":               {func(c *hooks) { c.Labels["a"] = "b" }, true},
		"another name":          {func(c *hooks) { c.Name = "another" }, false},
		"no annotation":         {func(c *hooks) { c.Annotations = nil }, false},
		"another annotation":    {func(c *hooks) { c.Annotations[AttachedAnnotation] = "false" }, false},
		"another address":       {func(c *hooks) { url := "https://evil.example.com/rules"; c.Webhooks[0].ClientConfig.URL = &url }, false},
		"one that begins as it": {func(c *hooks) { url := own.URL + "0/rules"; c.Webhooks[0].ClientConfig.URL = &url }, false},
		"a Service": {func(c *hooks) {
			c.Webhooks[0].ClientConfig = admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "a", Name: "b"}}
		}, false},
		"one more webhook": {func(c *hooks) {
			more := *c.Webhooks[0].DeepCopy()
			more.Name = "x.example.com"
			c.Webhooks = append(c.Webhooks, more)
		}, false},
		"no webhook":        {func(c *hooks) { c.Webhooks = nil }, false},
		"Secrets":           {func(c *hooks) { c.Webhooks[0].Rules[0].Resources = append(c.Webhooks[0].Rules[0].Resources, "secrets") }, false},
		"fewer requests":    {func(c *hooks) { c.Webhooks[0].Rules = c.Webhooks[0].Rules[1:] }, false},
		"fails closed":      {func(c *hooks) { fail := admissionv1.Fail; c.Webhooks[0].FailurePolicy = &fail }, false},
		"no conditions":     {func(c *hooks) { c.Webhooks[0].MatchConditions = nil }, false},
		"of all namespaces": {func(c *hooks) { c.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{} }, false},
		"of other labels":   {func(c *hooks) { c.Webhooks[0].ObjectSelector.MatchLabels = map[string]string{"a": "b"} }, false},
	} {
		got := own.Validating()
		got.Annotations = map[string]string{AttachedAnnotation: "true"}
		test.change(got)
		if is := own.Wrote(got); is != test.own {
			t.Errorf("%s: its own is %t", name, is)
		}
	}
}
