package compute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestNodeOSRules(t *testing.T) { controltest.Run(t, NodeOS) }
