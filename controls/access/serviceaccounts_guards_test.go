package access

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestServiceAccountsGuardsLive(t *testing.T) { controltest.GuardsLive(t, ServiceAccounts) }
