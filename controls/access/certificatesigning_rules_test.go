package access

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestCertificateSigning(t *testing.T) { controltest.Run(t, CertificateSigning) }
