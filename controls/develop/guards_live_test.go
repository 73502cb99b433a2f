package develop

import (
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestGuardsLive(t *testing.T) {
	controltest.GuardsLive(t, devclustertest.Own(t), AppDesign)
}
