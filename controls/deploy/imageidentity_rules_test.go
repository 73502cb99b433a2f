package deploy

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestImageIdentity(t *testing.T) { controltest.Run(t, ImageIdentity) }

func TestImageIdentityAllocatesNothingWhereAllIsWell(t *testing.T) {
	controltest.AllocatesNothing(t, ImageIdentity)
}
