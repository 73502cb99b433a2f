package distribute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestTransport(t *testing.T) { controltest.Run(t, Transport) }

func TestRegistryAccess(t *testing.T) { controltest.Run(t, RegistryAccess) }
