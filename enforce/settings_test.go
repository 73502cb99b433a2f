package enforce_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/enforce"
)

// planOf is the plan for a cluster whose components were started with these flags.
func planOf(t *testing.T, version bailey.Version, flags map[string]map[string]string) *enforce.Plan {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: version})
	for name, f := range flags {
		program, node, _ := strings.Cut(name, "@")
		kind, found := bailey.ComponentKind(program)
		if !found {
			t.Fatalf("no component %s", program)
		}
		b.Saw(kind, "")
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: kind, Name: node}, APIVersion: "bailey.dev/v1", Object: &bailey.Component{Node: node, Flags: f}})
	}
	plan, err := enforce.Make(b.Snapshot(), controls.All())
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func wanted(plan *enforce.Plan, component string) map[string]enforce.Setting {
	all := map[string]enforce.Setting{}
	for _, s := range plan.SettingsOf(component) {
		all[s.Name()] = s
	}
	return all
}

// decodeStrictly reads a file as the API server does, and gives its defaults.
func decodeStrictly(t *testing.T, text string) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	object, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return object
}

// TestSettingsKeep: what a flag says is kept in the file that takes its place.
func TestSettingsKeep(t *testing.T) {
	plan := planOf(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@cp": {
		"oidc-issuer-url": "https://issuer.example", "oidc-client-id": "kubernetes", "oidc-groups-claim": "groups", "oidc-groups-prefix": "oidc:", "oidc-required-claim": "hd=example",
		"authorization-mode": "Node,RBAC,Webhook,ABAC", "authorization-webhook-config-file": "/etc/webhook.conf", "authorization-webhook-version": "v1",
		"enable-admission-plugins": "AlwaysPullImages", "encryption-provider-config": "/etc/encryption.yaml", "token-auth-file": "/etc/tokens",
	}})
	all := wanted(plan, "kube-apiserver")

	s := all["--authentication-config"]
	authentication, isIt := decodeStrictly(t, s.File.Text).(*apiserver.AuthenticationConfiguration)
	if !isIt {
		t.Fatal(s.File.Text)
	}
	if err := validation.ValidateAuthenticationConfiguration(authenticationcel.NewCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())), authentication, nil).ToAggregate(); err != nil {
		t.Error(err)
	}
	if len(authentication.JWT) != 1 || authentication.JWT[0].Issuer.URL != "https://issuer.example" || *authentication.JWT[0].ClaimMappings.Username.Prefix != "https://issuer.example#" ||
		authentication.JWT[0].ClaimMappings.Groups.Claim != "groups" || len(authentication.JWT[0].ClaimValidationRules) != 1 {
		t.Errorf("jwt %+v", authentication.JWT)
	}
	if !slices.Contains(s.Replaces, "oidc-issuer-url") || slices.Contains(s.Replaces, "oidc-ca-file") {
		t.Errorf("replaces %q", s.Replaces)
	}

	s = all["--authorization-config"]
	authorization, isIt := decodeStrictly(t, s.File.Text).(*apiserver.AuthorizationConfiguration)
	if !isIt {
		t.Fatal(s.File.Text)
	}
	if err := validation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, authorization, sets.New("Node", "RBAC", "Webhook"), sets.New("Webhook")).ToAggregate(); err != nil &&
		!strings.Contains(err.Error(), "/etc/webhook.conf") { // which is not there
		t.Error(err)
	}
	var types []string
	for _, a := range authorization.Authorizers {
		types = append(types, string(a.Type))
	}
	if !slices.Equal(types, []string{"Node", "RBAC", "Webhook"}) || authorization.Authorizers[2].Webhook.SubjectAccessReviewVersion != "v1" {
		t.Errorf("authorizers %q: %+v", types, authorization.Authorizers[2].Webhook)
	}

	if got := all["--enable-admission-plugins"].Value; got != "AlwaysPullImages,NodeRestriction" {
		t.Errorf("plugins %v", got)
	}
	// Nothing is written in the place of keys that were not seen.
	if s := all["--encryption-provider-config"]; s.Value != nil || s.File != nil || s.Note == "" {
		t.Errorf("encryption %+v", s)
	}
	if s := all["--token-auth-file"]; s.Value != nil || s.Note == "" {
		t.Errorf("static tokens %+v", s)
	}
}

// TestSettingsInPlace: what is seen to be as it should be is not planned, and what
// one of several API servers lacks is, with its name.
func TestSettingsInPlace(t *testing.T) {
	flags := map[string]string{"anonymous-auth": "false", "authorization-mode": "Node,RBAC", "profiling": "false", "enable-admission-plugins": "NodeRestriction",
		"service-account-extend-token-expiration": "false", "tls-min-version": "VersionTLS13", "tls-cipher-suites": "TLS_AES_128_GCM_SHA256", "kubelet-certificate-authority": "/ca.crt",
		"audit-policy-file": "/etc/policy.yaml", "audit-webhook-config-file": "/etc/sink.conf"}
	plan := planOf(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@a": flags, "kube-scheduler@a": {"profiling": "false", "bind-address": "::1", "tls-min-version": "VersionTLS12", "tls-cipher-suites": "TLS_AES_128_GCM_SHA256"}})
	// Of the files that the flags name the content was not seen.
	got := slices.Sorted(maps.Keys(wanted(plan, "kube-apiserver")))
	if want := []string{"--audit-policy-file", "--encryption-provider-config", "--encryption-provider-config-automatic-reload"}; !slices.Equal(got, want) {
		t.Errorf("planned %q, want %q", got, want)
	}
	if got := wanted(plan, "kube-scheduler"); len(got) != 0 {
		t.Errorf("planned for the scheduler: %v", got)
	}

	other := maps.Clone(flags)
	other["profiling"] = "true"
	delete(other, "anonymous-auth")
	plan = planOf(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@a": flags, "kube-apiserver@b": other})
	all := wanted(plan, "kube-apiserver")
	if s := all["--profiling"]; s.Instead() != "true (kube-apiserver@b)" {
		t.Errorf("profiling: %q", s.Instead())
	}
	if s := all["--authentication-config"]; s.Instead() != "not set (kube-apiserver@b)" {
		t.Errorf("authentication: %q", s.Instead())
	}
	if _, planned := all["--authorization-config"]; planned {
		t.Error("the authorizers are planned, and are as they should be")
	}

	// Older API servers have no such files.
	all = wanted(planOf(t, bailey.Version{Major: 1, Minor: 28}, nil), "kube-apiserver")
	if all["--anonymous-auth"].Value != "false" || all["--authorization-mode"].Value != "Node,RBAC" || all["--authentication-config"].Flag != "" {
		t.Errorf("for 1.28: %v", slices.Sorted(maps.Keys(all)))
	}
}
