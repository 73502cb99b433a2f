package enforce_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/enforce"
)

// planOf is the plan for a cluster whose components were started with these flags.
func planOf(t *testing.T, version bailey.Version, flags map[string]map[string]string) *enforce.Plan {
	t.Helper()
	return planWith(t, version, flags, nil)
}

// planWith is the same where scans of the machines have read files: YAML by component and
// flag.
func planWith(t *testing.T, version bailey.Version, flags, files map[string]map[string]string) *enforce.Plan {
	t.Helper()
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: version})
	for name, f := range flags {
		program, node, _ := strings.Cut(name, "@")
		kind, found := bailey.ComponentKind(program)
		if !found {
			t.Fatalf("no component %s", program)
		}
		c := &bailey.Component{Node: node, Flags: f, Files: map[string]map[string]any{}}
		for flag, text := range files[name] {
			var document map[string]any
			if err := yaml.Unmarshal([]byte(text), &document); err != nil {
				t.Fatal(err)
			}
			c.Files[flag] = document
		}
		b.Saw(kind, "")
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: kind, Name: node}, APIVersion: "bailey.dev/v1", Object: c})
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
		"authorization-mode": "Node,RBAC,Webhook,ABAC", "authorization-policy-file": "/etc/abac.jsonl", "authorization-webhook-config-file": "/etc/webhook.conf", "authorization-webhook-version": "v1",
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
	if !slices.Contains(all["--authorization-config"].Replaces, "authorization-policy-file") {
		t.Error("the file of ABAC stays beside the authorizers, and the API server does not start")
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
	if want := []string{"--admission-control-config-file", "--audit-policy-file", "--encryption-provider-config", "--encryption-provider-config-automatic-reload"}; !slices.Equal(got, want) {
		t.Errorf("planned %q, want %q", got, want)
	}
	if got := wanted(plan, "kube-scheduler"); len(got) != 0 {
		t.Errorf("planned for the scheduler: %v", got)
	}
	// Beside a file the scheduler ignores the flag.
	byFile := planOf(t, bailey.LatestVersion, map[string]map[string]string{"kube-scheduler@a": {"profiling": "false", "config": "/etc/scheduler.yaml", "bind-address": "::1"}})
	if got := wanted(byFile, "kube-scheduler"); got["enableProfiling"].Value != false || got["--profiling"].Flag != "" {
		t.Errorf("planned for a scheduler with a file: %v", got)
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

// issuers and chain are what an API server's files say in these tests.
const (
	issuers = `{apiVersion: apiserver.config.k8s.io/v1, kind: AuthenticationConfiguration, jwt: [{issuer: {url: "https://issuer.example", audiences: [kubernetes]},
  claimMappings: {username: {claim: sub, prefix: "oidc:"}}}]}`
	chain = `{apiVersion: apiserver.config.k8s.io/v1, kind: AuthorizationConfiguration, authorizers: [{type: Webhook, name: first, webhook: {timeout: 3s, unauthorizedTTL: 30s, authorizedTTL: 5m,
  subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1, failurePolicy: NoOpinion, connectionInfo: {type: InClusterConfig}}}, {type: RBAC, name: rbac}, {type: AlwaysAllow, name: all}]}`
)

// TestSettingsFilesThere: a file that the API server has is never replaced by one that does
// not know what it holds.
func TestSettingsFilesThere(t *testing.T) {
	own := map[string]string{"authentication-config": "/etc/authn.yaml", "authorization-config": "/etc/authz.yaml"}
	none := map[string]string{"authorization-mode": "RBAC"}
	read := map[string]string{"authentication-config": issuers, "authorization-config": chain}
	secret := map[string]string{"authentication-config": strings.Replace(issuers, "oidc:", bailey.Redact(bailey.ClassToken), 1), "authorization-config": strings.Replace(chain, "first", bailey.Redact(bailey.ClassToken), 1)}
	right := map[string]string{"authentication-config": strings.Replace(issuers, "jwt:", "anonymous: {enabled: true, conditions: [{path: /livez}]}, jwt:", 1),
		"authorization-config": strings.Replace(strings.Replace(chain, "AlwaysAllow", "Node", 1), "name: all", "name: node", 1)}
	for what, test := range map[string]struct {
		flags, files map[string]map[string]string
		planned      bool   // at all
		note         string // and nothing is written
	}{
		"not seen":                         {map[string]map[string]string{"kube-apiserver@a": own}, nil, true, "was not seen"},
		"read without its secrets":         {map[string]map[string]string{"kube-apiserver@a": own}, map[string]map[string]string{"kube-apiserver@a": secret}, true, "credentials"},
		"read":                             {map[string]map[string]string{"kube-apiserver@a": own}, map[string]map[string]string{"kube-apiserver@a": read}, true, ""},
		"as it should be":                  {map[string]map[string]string{"kube-apiserver@a": own}, map[string]map[string]string{"kube-apiserver@a": right}, false, ""},
		"none":                             {map[string]map[string]string{"kube-apiserver@a": none}, nil, true, ""},
		"not seen at the second of two":    {map[string]map[string]string{"kube-apiserver@a": none, "kube-apiserver@b": own}, nil, true, "was not seen"},
		"not seen at the first of two":     {map[string]map[string]string{"kube-apiserver@a": own, "kube-apiserver@b": none}, nil, true, "was not seen"},
		"different ones":                   {map[string]map[string]string{"kube-apiserver@a": none, "kube-apiserver@b": own}, map[string]map[string]string{"kube-apiserver@b": read}, true, "different files"},
		"one that is right, the other not": {map[string]map[string]string{"kube-apiserver@a": own, "kube-apiserver@b": none}, map[string]map[string]string{"kube-apiserver@a": right}, true, "different files"},
		"the same":                         {map[string]map[string]string{"kube-apiserver@a": own, "kube-apiserver@b": own}, map[string]map[string]string{"kube-apiserver@a": read, "kube-apiserver@b": read}, true, ""},
	} {
		all := wanted(planWith(t, bailey.LatestVersion, test.flags, test.files), "kube-apiserver")
		for _, flag := range []string{"--authentication-config", "--authorization-config"} {
			s, planned := all[flag]
			writes := s.File != nil
			if planned != test.planned || writes != (s.Value != nil) || writes != (planned && test.note == "") || !strings.Contains(s.Note, test.note) {
				t.Errorf("%s, %s: planned %v, writes %v, note %q", what, flag, planned, writes, s.Note)
			}
		}
	}

	plan := planWith(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@a": own}, map[string]map[string]string{"kube-apiserver@a": read})
	all := wanted(plan, "kube-apiserver")
	authentication, isIt := decodeStrictly(t, all["--authentication-config"].File.Text).(*apiserver.AuthenticationConfiguration)
	if !isIt || len(authentication.JWT) != 1 || *authentication.JWT[0].ClaimMappings.Username.Prefix != "oidc:" || authentication.Anonymous == nil || len(authentication.Anonymous.Conditions) != 3 {
		t.Errorf("%s", all["--authentication-config"].File.Text)
	}
	if err := validation.ValidateAuthenticationConfiguration(authenticationcel.NewCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())), authentication, nil).ToAggregate(); err != nil {
		t.Error(err)
	}
	for _, w := range []string{"kubeadm join", "--discovery-file", "/api/v1/namespaces/kube-public/configmaps/cluster-info"} {
		if !strings.Contains(all["--authentication-config"].Note, w) {
			t.Errorf("the note says nothing of %s: %s", w, all["--authentication-config"].Note)
		}
	}
	authorization, isIt := decodeStrictly(t, all["--authorization-config"].File.Text).(*apiserver.AuthorizationConfiguration)
	if !isIt {
		t.Fatal(all["--authorization-config"].File.Text)
	}
	if err := validation.ValidateAuthorizationConfiguration(authorizationcel.NewDefaultCompiler(), nil, authorization, sets.New("Node", "RBAC", "Webhook"), sets.New("Webhook")).ToAggregate(); err != nil {
		t.Error(err)
	}
	var names []string
	for _, a := range authorization.Authorizers {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"first", "node", "rbac"}) || !strings.Contains(all["--authorization-config"].Note, "AlwaysAllow alone needs Roles") {
		t.Errorf("authorizers %q: %s", names, all["--authorization-config"].Note)
	}
	// The names that it adds are free.
	taken := map[string]string{"authorization-config": strings.Replace(strings.Replace(chain, "name: first", "name: node", 1), "{type: RBAC, name: rbac}", "{type: AlwaysDeny, name: rbac}", 1)}
	text := wanted(planWith(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@a": own}, map[string]map[string]string{"kube-apiserver@a": taken}), "kube-apiserver")["--authorization-config"].File.Text
	authorization, isIt = decodeStrictly(t, text).(*apiserver.AuthorizationConfiguration)
	if !isIt {
		t.Fatal(text)
	}
	names = nil
	for _, a := range authorization.Authorizers {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"node", "node-2", "rbac-2", "rbac"}) {
		t.Errorf("authorizers %q", names)
	}
	// With an anonymous part in the file the flag keeps the API server from starting.
	strangers := maps.Clone(own)
	strangers["anonymous-auth"] = "true"
	if s := wanted(planOf(t, bailey.LatestVersion, map[string]map[string]string{"kube-apiserver@a": strangers}), "kube-apiserver")["--authentication-config"]; s.File != nil || !strings.Contains(s.Note, "take --anonymous-auth away") {
		t.Errorf("%+v", s)
	}
	files, err := plan.RenderSettings()
	if err != nil || !strings.Contains(string(files["control-plane/authentication.yaml"]), "https://issuer.example") {
		t.Errorf("%v: %s", err, files["control-plane/authentication.yaml"])
	}
}

// TestSettingsOfSeveralMachines: what is written goes to all machines, so that nothing is
// where it would take away what one of them has, also of one that is as it should be.
func TestSettingsOfSeveralMachines(t *testing.T) {
	webhook := map[string]string{"authorization-mode": "Node,RBAC,Webhook", "authorization-webhook-config-file": "/etc/webhook.conf", "enable-admission-plugins": "AlwaysPullImages,NodeRestriction"}
	for what, test := range map[string]struct {
		a, b, c map[string]string
		flag    string
		value   any
		notes   []string
	}{
		"each lacks it":             {map[string]string{"enable-admission-plugins": "AlwaysPullImages"}, map[string]string{}, nil, "--enable-admission-plugins", nil, []string{"kube-apiserver@a: AlwaysPullImages,NodeRestriction; kube-apiserver@b: NodeRestriction"}},
		"one has it":                {webhook, map[string]string{}, map[string]string{}, "--enable-admission-plugins", nil, []string{"kube-apiserver@a: AlwaysPullImages,NodeRestriction; kube-apiserver@b, kube-apiserver@c: NodeRestriction"}},
		"the last has it":           {map[string]string{}, webhook, nil, "--enable-admission-plugins", nil, []string{"kube-apiserver@b: AlwaysPullImages,NodeRestriction"}},
		"both want the same":        {webhook, map[string]string{"enable-admission-plugins": "AlwaysPullImages"}, nil, "--enable-admission-plugins", "AlwaysPullImages,NodeRestriction", nil},
		"one stands without a file": {webhook, map[string]string{"authorization-mode": "RBAC"}, nil, "--authorization-config", nil, []string{"different files"}},
		"two faults of one flag":    {map[string]string{"disable-admission-plugins": "PodSecurity,ServiceAccount"}, map[string]string{}, nil, "--disable-admission-plugins", nil, []string{"take PodSecurity out", "take ServiceAccount out"}},
		"what both replace":         {map[string]string{"authorization-mode": "ABAC", "authorization-policy-file": "/etc/abac.jsonl"}, map[string]string{"authorization-mode": "RBAC"}, nil, "--authorization-config", "/etc/kubernetes/bailey/authorization.yaml", []string{"ABAC goes"}},
	} {
		flags := map[string]map[string]string{"kube-apiserver@a": test.a, "kube-apiserver@b": test.b}
		if test.c != nil {
			flags["kube-apiserver@c"] = test.c
		}
		plan := planOf(t, bailey.LatestVersion, flags)
		s, planned := wanted(plan, "kube-apiserver")[test.flag]
		if !planned || s.Value != test.value || test.value == nil && s.File != nil {
			t.Errorf("%s: planned %v: %v, %v", what, planned, s.Value, s.File)
		}
		for _, note := range test.notes {
			if !strings.Contains(s.Note, note) {
				t.Errorf("%s: %q does not say %q", what, s.Note, note)
			}
		}
		files, err := plan.RenderSettings()
		if err != nil || strings.Contains(string(files["kubeadm.yaml"]), strings.TrimPrefix(test.flag, "--")) != (test.value != nil) {
			t.Errorf("%s: %v\n%s", what, err, files["kubeadm.yaml"])
		}
		if what == "what both replace" && !slices.Contains(s.Replaces, "authorization-policy-file") {
			t.Errorf("replaces %q", s.Replaces)
		}
	}
}

// TestSettingsFileThatHasNoYAML: a file is not written empty in the place of one that cannot
// be written.
func TestSettingsFileThatHasNoYAML(t *testing.T) {
	flags := map[string]string{}
	files := map[string]map[string]any{}
	for _, flag := range []string{"authentication-config", "authorization-config", "admission-control-config-file"} {
		flags[flag] = "/etc/" + flag
		files[flag] = map[string]any{"odd": math.NaN(), "plugins": []any{map[string]any{"name": "other", "configuration": map[string]any{"odd": math.NaN()}}}}
	}
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
	b.Saw(bailey.KindAPIServer, "")
	b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindAPIServer, Name: "a"}, APIVersion: "bailey.dev/v1", Object: &bailey.Component{Node: "a", Flags: flags, Files: files}})
	plan, err := enforce.Make(b.Snapshot(), controls.All())
	if err != nil {
		t.Fatal(err)
	}
	all := wanted(plan, "kube-apiserver")
	for flag := range flags {
		if s := all["--"+flag]; s.Flag == "" || s.Value != nil || s.File != nil || !strings.Contains(s.Note, "/etc/"+flag+", was read, and cannot be written again") {
			t.Errorf("%s: %+v", flag, s)
		}
	}
}

// TestSettingsAuditPolicyThere: an audit policy that the API server has is never replaced. One
// that was read is as good if it leaves no more blind than Bailey's; else the plan says what.
func TestSettingsAuditPolicyThere(t *testing.T) {
	own := map[string]map[string]string{"kube-apiserver@a": {"audit-policy-file": "/etc/mine.yaml"}}
	policy := func(rules string) map[string]map[string]string {
		return map[string]map[string]string{"kube-apiserver@a": {"audit-policy-file": "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [" + rules + "]}"}}
	}
	two := map[string]map[string]string{"kube-apiserver@a": {"audit-policy-file": "/etc/mine.yaml"}, "kube-apiserver@b": {"profiling": "false"}}
	for what, test := range map[string]struct {
		flags, files map[string]map[string]string
		planned      bool
		notes        []string
	}{
		"not seen":                {own, nil, true, []string{"/etc/mine.yaml, was not seen", "bailey detect --policy"}},
		"without a part of it":    {own, policy("{level: Request, users: [" + bailey.Redact(bailey.ClassToken) + "]}"), true, []string{"holds credentials"}},
		"as good":                 {own, policy("{level: RequestResponse}"), false, nil},
		"leaves Secrets out":      {own, policy("{level: None, resources: [{group: '', resources: [secrets]}]}, {level: RequestResponse}"), true, []string{"/etc/mine.yaml", "rule 1: ", "secret"}},
		"holds no bodies":         {own, policy("{level: Metadata}"), true, []string{"rule 1: ", "privileged-container"}},
		"no policy":               {own, map[string]map[string]string{"kube-apiserver@a": {"audit-policy-file": "{kind: Other}"}}, true, []string{"not an audit policy"}},
		"not seen at one of two":  {two, nil, true, []string{"was not seen"}},
		"as good at one of two":   {two, policy("{level: RequestResponse}"), true, []string{"leaves no detection blind", "give it to the others"}},
		"not as good at one of 2": {two, policy("{level: Metadata}"), true, []string{"privileged-container"}},
	} {
		plan := planWith(t, bailey.LatestVersion, test.flags, test.files)
		s, planned := wanted(plan, "kube-apiserver")["--audit-policy-file"]
		if planned != test.planned || s.Value != nil || s.File != nil {
			t.Errorf("%s: planned %v, %+v", what, planned, s.Setting)
		}
		for _, note := range test.notes {
			if !strings.Contains(s.Note, note) {
				t.Errorf("%s: %q is not in %q", what, note, s.Note)
			}
		}
		files, err := plan.RenderSettings()
		if err != nil || files["control-plane/audit-policy.yaml"] != nil || strings.Contains(string(files["kubeadm.yaml"]), "audit-policy-file") {
			t.Errorf("%s: it is written: %v\n%s", what, err, files["kubeadm.yaml"])
		}
	}
}

// TestSettingsEncryptionThere: of an encryption configuration that a scan of the machine has
// read the plan says what is wrong with it, and nothing where nothing is.
func TestSettingsEncryptionThere(t *testing.T) {
	flags := map[string]map[string]string{"kube-apiserver@a": {"encryption-provider-config": "/etc/enc.yaml", "encryption-provider-config-automatic-reload": "true"}}
	both := "[secrets, configmaps], providers: ["
	key := "{keys: [{name: a, secret: '" + bailey.Redact(bailey.ClassToken) + "'}]}"
	for what, test := range map[string]struct{ entry, note string }{
		"as it should be":     {both + "{secretbox: " + key + "}, {identity: {}}]", ""},
		"all of core":         {"['*.'], providers: [{kms: {apiVersion: v2, name: k}}]", ""},
		"plain":               {both + "{identity: {}}, {secretbox: " + key + "}]", "writes secrets as plain text, writes configmaps as plain text"},
		"ConfigMaps left out": {"[secrets], providers: [{secretbox: " + key + "}]", "leaves configmaps out"},
		"an old cipher":       {both + "{aescbc: " + key + "}]", "encrypts secrets by aescbc"},
		"KMS v1":              {both + "{kms: {name: old}}]", "KMS v1 provider old"},
	} {
		files := map[string]map[string]string{"kube-apiserver@a": {"encryption-provider-config": "{kind: EncryptionConfiguration, resources: [{resources: " + test.entry + "}]}"}}
		s, planned := wanted(planWith(t, bailey.LatestVersion, flags, files), "kube-apiserver")["--encryption-provider-config"]
		if planned != (test.note != "") || s.Value != nil || s.File != nil || !strings.Contains(s.Note, test.note) || strings.Contains(s.Note, "not seen") {
			t.Errorf("%s: planned %v, %+v", what, planned, s.Setting)
		}
	}
	if s := wanted(planOf(t, bailey.LatestVersion, flags), "kube-apiserver")["--encryption-provider-config"]; s.Value != nil || !strings.Contains(s.Note, "/etc/enc.yaml, was not seen") {
		t.Errorf("%+v", s.Setting)
	}
}

// TestStaticPolicies: what is written as files of the API server is what its loader takes,
// and refuses only where the same objects refuse already.
func TestStaticPolicies(t *testing.T) {
	plan := planOf(t, bailey.LatestVersion, nil)
	files, err := plan.RenderSettings()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for name, text := range files {
		file, isPolicy := strings.CutPrefix(name, "control-plane/policies/")
		if !isPolicy {
			continue
		}
		parts := strings.Split(string(text), "---\n")
		var policy admissionv1.ValidatingAdmissionPolicy
		var binding admissionv1.ValidatingAdmissionPolicyBinding
		if len(parts) != 2 || yaml.UnmarshalStrict([]byte(parts[0]), &policy) != nil || yaml.UnmarshalStrict([]byte(parts[1]), &binding) != nil {
			t.Fatalf("%s:\n%s", name, text)
		}
		if file != policy.Name+".yaml" || !strings.HasSuffix(policy.Name, ".static.k8s.io") || !strings.HasSuffix(binding.Name, ".static.k8s.io") || binding.Spec.PolicyName != policy.Name ||
			policy.Spec.ParamKind != nil || binding.Spec.ParamRef != nil || policy.Spec.FailurePolicy == nil || *policy.Spec.FailurePolicy != admissionv1.Fail {
			t.Errorf("%s:\n%s", name, text)
		}
		denies := slices.Contains(binding.Spec.ValidationActions, admissionv1.Deny)
		if own := policy.Name == "bailey-policies-kept.static.k8s.io"; denies != own {
			t.Errorf("%s denies: %v, and no object of it is in place", policy.Name, denies)
		}
		for _, r := range policy.Spec.MatchConstraints.ResourceRules {
			if slices.Contains(r.Resources, "configmaps") && slices.Contains(r.Operations, admissionv1.Delete) {
				t.Errorf("%s keeps a list, which nobody can delete then", policy.Name)
			}
		}
		seen[policy.Name] = true
	}
	for _, name := range []string{"bailey-images-pinned", "bailey-policies-kept"} {
		if !seen[name+".static.k8s.io"] {
			t.Errorf("%s is not among %v", name, slices.Sorted(maps.Keys(seen)))
		}
	}
	for name := range seen {
		if strings.HasSuffix(name, "-parameter-kept.static.k8s.io") {
			t.Errorf("%s is among the files: nobody can delete the list that it keeps", name)
		}
	}
	if seen["bailey-registries-allowed.static.k8s.io"] {
		t.Error("a policy with a parameter is among the files")
	}
	if !strings.Contains(string(files["README.md"]), "## Policies as files") {
		t.Error("the README says nothing of them")
	}
	older, err := planOf(t, bailey.Version{Major: 1, Minor: 36}, nil).RenderSettings()
	if err != nil || slices.ContainsFunc(slices.Collect(maps.Keys(older)), func(f string) bool { return strings.Contains(f, "policies/") || strings.Contains(f, "admission") }) {
		t.Errorf("for 1.36: %v %v", err, slices.Sorted(maps.Keys(older)))
	}

	// The file that is there keeps its other plugins, and what they name is still found.
	own := map[string]map[string]string{"kube-apiserver@a": {"admission-control-config-file": "/etc/adm/conf.yaml"}}
	there := "{apiVersion: apiserver.config.k8s.io/v1, kind: AdmissionConfiguration, plugins: [{name: EventRateLimit, path: rate.yaml}, {name: PodSecurity, path: /abs.yaml}]}"
	with := func(text string) enforce.Setting {
		return wanted(planWith(t, bailey.LatestVersion, own, map[string]map[string]string{"kube-apiserver@a": {"admission-control-config-file": text}}), "kube-apiserver")["--admission-control-config-file"]
	}
	s := with(there)
	configuration, isIt := decodeStrictly(t, s.File.Text).(*apiserver.AdmissionConfiguration)
	if !isIt || len(configuration.Plugins) != 3 || configuration.Plugins[0].Path != "/etc/adm/rate.yaml" || configuration.Plugins[1].Path != "/abs.yaml" || configuration.Plugins[2].Name != "ValidatingAdmissionPolicy" {
		t.Errorf("%s", s.File.Text)
	}
	// So does Bailey's own from before, which may hold them too.
	baileys := map[string]map[string]string{"kube-apiserver@a": {"admission-control-config-file": bailey.SettingsFolder + "/admission.yaml"}}
	again := wanted(planWith(t, bailey.LatestVersion, baileys, map[string]map[string]string{"kube-apiserver@a": {"admission-control-config-file": s.File.Text}}), "kube-apiserver")["--admission-control-config-file"]
	if again.File == nil || again.File.Text != s.File.Text {
		t.Errorf("Bailey's file that was read comes out as %+v", again.File)
	}
	unread := planOf(t, bailey.LatestVersion, baileys)
	files, err = unread.RenderSettings()
	if err != nil || files["control-plane/admission.yaml"] != nil || strings.Contains(string(files["README.md"]), "3. Give the flag") ||
		!strings.Contains(string(files["README.md"]), "3. Let the file that the flag names say so") {
		t.Errorf("%v: a file is written in the place of one that was not seen:\n%s", err, files["README.md"])
	}
	for what, s := range map[string]enforce.Setting{
		"Bailey's, not seen": wanted(unread, "kube-apiserver")["--admission-control-config-file"],
		"its own file":       with(strings.Replace(there, "{name: PodSecurity, path: /abs.yaml}", "{name: ValidatingAdmissionPolicy, path: mine.yaml}", 1)),
		"not seen":           wanted(planOf(t, bailey.LatestVersion, own), "kube-apiserver")["--admission-control-config-file"],
		"another folder": with(strings.Replace(there, "{name: PodSecurity, path: /abs.yaml}",
			"{name: ValidatingAdmissionPolicy, configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ValidatingAdmissionPolicyConfiguration, staticManifestsDir: /etc/mine}}", 1)),
	} {
		if s.Value != nil || s.File != nil || s.Note == "" || what == "another folder" && !strings.Contains(s.Note, "/etc/mine") || what == "its own file" && !strings.Contains(s.Note, "/etc/adm/mine.yaml") {
			t.Errorf("%s: %+v", what, s)
		}
	}
}
