package storage

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestBackups(t *testing.T) { controltest.Run(t, Backups) }
