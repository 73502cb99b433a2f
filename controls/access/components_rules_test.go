package access

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestAuthenticationRules(t *testing.T) { controltest.Run(t, Authentication) }

func TestAPIServerRules(t *testing.T) { controltest.Run(t, APIServer) }

func TestAPIBypassRules(t *testing.T) { controltest.Run(t, APIBypass) }

func TestTLSRules(t *testing.T) { controltest.Run(t, TLS) }
