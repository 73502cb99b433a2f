package distribute

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestSignatures(t *testing.T) { controltest.Run(t, Signatures) }
