// Package platform holds the manifests of the sample platform, which `bailey up --sample` loads.
package platform

import "embed"

// Manifests are its files, to be applied in the order of their names.
//
//go:embed *.yaml
var Manifests embed.FS
