package observe

import (
	"testing"

	"github.com/baileyhq/bailey/derive/detect"
)

// TestAuditPolicySeesAll: the audit policy that is written out leaves no detection blind,
// but for health probes and the heartbeats and events of nodes and controllers, which
// detections about all requests of anybody do not see.
func TestAuditPolicySeesAll(t *testing.T) {
	policy, err := detect.DecodePolicy([]byte(auditPolicy))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range detect.Blind(policy, detect.All()) {
		if b.Partly && b.Needs == detect.LevelMetadata && b.Why == "rule 3 (for groups system:nodes, system:serviceaccounts:kube-system); rule 4" {
			continue
		}
		t.Errorf("%s needs %s and has %s: %s", b.Detection, b.Needs, b.Has, b.Why)
	}
}
