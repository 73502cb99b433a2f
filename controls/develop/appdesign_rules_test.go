package develop

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAppDesign(t *testing.T) { controltest.Run(t, AppDesign) }

func TestAppDesignAllocatesNothingWhereAllIsWell(t *testing.T) {
	controltest.AllocatesNothing(t, AppDesign)
}
