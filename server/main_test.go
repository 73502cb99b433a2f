package server

import (
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
)

func TestMain(m *testing.M) { devclustertest.Main(m) }
