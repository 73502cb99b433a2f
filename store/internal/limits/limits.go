// Package limits holds what the tests of the store change about it: the sizes at which a
// page is found in another way, so that few rows reach every way, and the migrations of
// earlier and later versions. Nothing else changes them.
package limits

// Gather is how many rows are read and sorted for a page or counted for a total. Of more
// of them enough come by in the order of an index.
var Gather = 2000

// Parts is how many indexed parts are merged for a page.
var Parts = 100

// Sample is how many rows are looked at to tell which words are rare.
var Sample = 500

// Spaces is how many namespaces are looked up at first, and four times as many each time after: few mostly fill a page,
// and each may have hundreds of groups.
var Spaces = 8

// Looked is how many rows are looked at for a page of what no index finds.
var Looked = 1000

// Scopes is how many pieces of evidence are looked at for the newest run of an experiment at first: one for each scope that
// most runs try. Pieces is how many are for runs at most.
var Scopes, Pieces = 150, 6000

// Newest, if set, is the newest migration that is known, as to an older program.
var Newest int

// Migration is one of a later version.
type Migration struct {
	SQL string
	// Reader is the oldest version that can work with the tables then, if it is not the
	// first.
	Reader int
}

// Later are the migrations that a later program has.
var Later []Migration
