//go:build !linux

package probe

import (
	"context"

	"github.com/baileyhq/bailey"
)

func wire(context.Context, *bailey.Wire) Report { return failed("a node's wire is read on Linux only") }
