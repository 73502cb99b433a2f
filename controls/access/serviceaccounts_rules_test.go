package access

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestServiceAccounts(t *testing.T) { controltest.Run(t, ServiceAccounts) }

func TestServiceAccountsAllocatesNothingWhereAllIsWell(t *testing.T) {
	controltest.AllocatesNothing(t, ServiceAccounts)
}
