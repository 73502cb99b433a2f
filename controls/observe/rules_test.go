package observe

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestDetectionRules(t *testing.T) { controltest.Run(t, Detection) }

func TestTelemetryRules(t *testing.T) { controltest.Run(t, Telemetry) }

func TestTimeRules(t *testing.T) { controltest.Run(t, Time) }
