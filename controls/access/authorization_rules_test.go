package access

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAuthorization(t *testing.T) { controltest.Run(t, Authorization) }
