package storage

import (
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/controltest"
)

func TestNetworkStorage(t *testing.T) { controltest.Run(t, NetworkStorage) }

func TestNetworkStorageAllocatesNothingWhereAllIsWell(t *testing.T) {
	controltest.AllocatesNothing(t, NetworkStorage)
}

func TestVolumes(t *testing.T) { controltest.Run(t, Volumes) }

func TestGuardsLive(t *testing.T) {
	controltest.GuardsLive(t, devclustertest.Own(t), Volumes, NetworkStorage)
}
