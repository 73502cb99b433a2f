package compute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestSyscallsGuardsLive(t *testing.T) { controltest.GuardsLive(t, Syscalls) }
