// Package controls is the catalogue: what the Kubernetes page "Cloud Native
// Security and Kubernetes" asks for, a folder per phase and a file per control.
package controls

import (
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/access"
	"github.com/baileyhq/bailey/controls/compute"
	"github.com/baileyhq/bailey/controls/deploy"
	"github.com/baileyhq/bailey/controls/develop"
	"github.com/baileyhq/bailey/controls/distribute"
	"github.com/baileyhq/bailey/controls/network"
	"github.com/baileyhq/bailey/controls/observe"
	"github.com/baileyhq/bailey/controls/storage"
)

// All gives every control in the order of the page. The slice is the caller's;
// the controls are shared and must not be changed.
func All() []*bailey.Control {
	return slices.Concat(
		develop.Controls(),
		distribute.Controls(),
		deploy.Controls(),
		access.Controls(),
		compute.Controls(),
		storage.Controls(),
		network.Controls(),
		observe.Controls(),
	)
}
