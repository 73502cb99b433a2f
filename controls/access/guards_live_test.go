package access

import (
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

func TestGuardsLive(t *testing.T) {
	cluster := devclustertest.Own(t)
	controltest.GuardsLive(t, cluster, ServiceAccounts)
	t.Run(nodePathsRefused.Name, func(t *testing.T) {
		namespace := devclustertest.NamespaceIn(t, cluster, nil)
		s := mountsSnapshot(t, cluster, namespace)
		run := func() []*prove.Record {
			return provetest.Run(t, cluster, APIBypass, provetest.Options{Only: []string{mountsRefused.Name}, Snapshot: s})
		}
		provetest.Want(t, run(), map[string]prove.Outcome{"*": prove.Unclaimed})
		controltest.Install(t, cluster, s, nodePathsRefused)
		waitHeld(t, run, "mirror pod of no node, namespace "+namespace+" (create pods/mirror)")
		records := run()
		provetest.AllHeld(t, records)
		if n := len(provetest.Outcomes(records)); n < 12 || !strings.Contains(provetest.Text(records), "hostPath /,") {
			t.Errorf("%d probes: %s", n, provetest.Text(records))
		}
	})
}
