package network

import (
	"testing"

	"github.com/baileyhq/bailey/internal/controltest"
)

func TestMesh(t *testing.T) { controltest.Run(t, Mesh) }

func TestPlugin(t *testing.T) { controltest.Run(t, Plugin) }
