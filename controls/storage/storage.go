// Package storage declares the controls about keeping data.
package storage

import "github.com/baileyhq/bailey"

// Controls lists them in the order of the catalogue.
func Controls() []*bailey.Control {
	return []*bailey.Control{
		Volumes,
		APIEncryption,
		Backups,
		NetworkStorage,
		AppEncryption,
		KeyHardware,
	}
}
