package deploy

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestFoundationRules(t *testing.T) { controltest.Run(t, Foundation) }
