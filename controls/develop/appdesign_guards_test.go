package develop

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAppDesignGuardsLive(t *testing.T) { controltest.GuardsLive(t, AppDesign) }
