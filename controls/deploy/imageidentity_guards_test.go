package deploy

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestImageIdentityGuardsLive(t *testing.T) { controltest.GuardsLive(t, ImageIdentity) }
