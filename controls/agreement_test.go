package controls_test

import (
	"os"
	"testing"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

const allCases = "*/testdata/*/*.txtar"

// TestRulesAndPoliciesAgree: on generated objects every guard's rules find something in
// exactly what its policies refuse.
func TestRulesAndPoliciesAgree(t *testing.T) {
	controltest.Agree(t, controls.All(), allCases, 1000)
}

// TestRulesAndAPIServerAgree is the same on a live API server with all policies in place.
func TestRulesAndAPIServerAgree(t *testing.T) {
	objects := 150
	if os.Getenv("BAILEY_SOAK") != "" {
		objects = 2000
	}
	controltest.AgreeLive(t, devclustertest.Own(t), controls.All(), allCases, objects)
}
