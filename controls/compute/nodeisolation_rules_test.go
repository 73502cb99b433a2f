package compute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestNodeIsolation(t *testing.T) { controltest.Run(t, NodeIsolation) }
