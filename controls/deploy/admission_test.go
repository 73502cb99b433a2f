package deploy

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAdmission(t *testing.T) { controltest.Run(t, Admission) }
