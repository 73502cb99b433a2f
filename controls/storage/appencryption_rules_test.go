package storage

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAppEncryption(t *testing.T) { controltest.Run(t, AppEncryption) }

func TestAppEncryptionAllocatesNothingWhereAllIsWell(t *testing.T) {
	controltest.AllocatesNothing(t, AppEncryption)
}
