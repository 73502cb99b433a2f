package storage

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAPIEncryptionRules(t *testing.T) { controltest.Run(t, APIEncryption) }
