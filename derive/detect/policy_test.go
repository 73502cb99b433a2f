package detect_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/derive/detect"
)

func blindUnder(t *testing.T, policy string) map[string]detect.Blindness {
	t.Helper()
	p, err := detect.DecodePolicy([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]detect.Blindness{}
	for _, b := range detect.Blind(p, detect.All()) {
		all[b.Detection] = b
	}
	return all
}

const policyHead = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"

func TestBlind(t *testing.T) {
	if blind := blindUnder(t, policyHead+"rules: [{level: Request}]"); len(blind) != 0 {
		t.Errorf("everything is recorded, and yet %v", blind)
	}
	blind := blindUnder(t, policyHead+"rules: [{level: Metadata}]")
	for _, d := range detect.All() {
		if b, found := blind[d.Name]; found != (d.Level == detect.LevelRequest) || b.Partly {
			t.Errorf("with metadata only: %s is %+v", d.Name, b)
		}
	}
	blind = blindUnder(t, policyHead+"rules: []")
	if len(blind) != len(detect.All()) {
		t.Errorf("without rules blind to %d of %d", len(blind), len(detect.All()))
	}
	blind = blindUnder(t, policyHead+`
omitStages: [RequestReceived]
rules:
- {level: None, users: [system:kube-scheduler]}
- {level: None, userGroups: ["system:serviceaccounts"], resources: [{group: "", resources: [secrets]}]}
- {level: None, resources: [{group: "", resources: ["*/exec"]}]}
- {level: Metadata, resources: [{group: "", resources: [pods]}]}
- {level: Request}
`)
	if b := blind["secrets-dump"]; !b.Partly || b.Has != detect.LevelNone || !strings.Contains(b.Why, "rule 2 (for groups system:serviceaccounts)") {
		t.Errorf("secrets-dump: %+v", b)
	}
	if b := blind["exec"]; b.Partly || b.Has != detect.LevelNone || b.Why != "rule 3" {
		t.Errorf("exec: %+v", b)
	}
	if b := blind["static-pod"]; b.Partly || b.Has != detect.LevelMetadata || b.Needs != detect.LevelRequest {
		t.Errorf("static-pod: %+v", b)
	}
	if b := blind["host-path"]; !b.Partly {
		t.Errorf("host-path, whose Deployments are recorded: %+v", b)
	}
	if b, found := blind["admin-role"]; found {
		t.Errorf("admin-role: %+v", b)
	}
}

// TestDevclusterPolicy wants the development cluster to record what every
// detection needs.
func TestDevclusterPolicy(t *testing.T) {
	policy, err := os.ReadFile("../../devcluster/audit-policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	blind := blindUnder(t, string(policy))
	for name, b := range maps.All(blind) {
		// Leases, events and health are left out, for nobody in particular.
		if !b.Partly || !slices.Contains([]string{"anonymous-access", "anonymous-refused", "impersonation", "impersonation-privileged", "system-credential", "credential-replay", "forbidden-burst"}, name) {
			t.Errorf("blind to %+v", b)
		}
	}
}

func TestDecodePolicyRefuses(t *testing.T) {
	for _, text := range []string{"", "kind: Policy", "[", policyHead + "rulez: []", strings.Repeat("#", 2<<20)} {
		if _, err := detect.DecodePolicy([]byte(text)); err == nil {
			t.Errorf("took %.40q", text)
		}
	}
}

// TestBlindEvent wants silence about an event that holds too little to be told
// from silence about one that holds enough.
func TestBlindEvent(t *testing.T) {
	d := find(t, "host-path")
	e := sample(t, d, d.Bad[0], 0)
	if blind := newSet(t).Blind(e); len(blind) != 0 {
		t.Errorf("blind to %d detections at level %s", len(blind), e.Level)
	}
	e.Level, e.RequestObject = detect.LevelMetadata, nil
	s := newSet(t)
	if alerts := s.Match(e); len(alerts) != 0 {
		t.Errorf("alerts %+v", alerts)
	}
	var blind []string
	for _, d := range s.Blind(e) {
		blind = append(blind, d.Name)
	}
	slices.Sort(blind)
	if !slices.Equal(blind, []string{"host-namespaces", "host-path", "privileged-container", "static-pod"}) {
		t.Errorf("blind to %v", blind)
	}
}

func FuzzDecodePolicy(f *testing.F) {
	f.Add([]byte(policyHead + "rules: [{level: Metadata, users: [a], resources: [{group: '', resources: ['pods/*']}]}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := detect.DecodePolicy(data); err == nil {
			detect.Blind(p, detect.All())
		}
	})
}
