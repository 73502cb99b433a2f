package compute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestSyscalls(t *testing.T) { controltest.Run(t, Syscalls) }

func TestSandbox(t *testing.T) { controltest.Run(t, Sandbox) }
