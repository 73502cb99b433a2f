// Package limits holds what the tests of the store change about it: the sizes at which a
// page is found in another way, so that few rows reach every way, and the migrations of
// later versions. Nothing else changes them.
package limits

// Gather is how many rows are read and sorted for a page or counted for a total. Of more
// of them enough come by in the order of an index.
var Gather = 10_000

// Parts is how many indexed parts are merged for a page.
var Parts = 100

// Migration is one of a later version.
type Migration struct {
	SQL string
	// Reader is the oldest version that can work with the tables then, if it is not the
	// first.
	Reader int
}

// Later are the migrations that a later program has.
var Later []Migration
