package ledger

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// nodeHash is RFC 6962's hash of an inner node.
func nodeHash(left, right *tlog.Hash) tlog.Hash {
	var b [1 + 2*hashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+hashSize:], right[:])
	return sha256.Sum256(b[:])
}

// perfectRoot is the root over hashes, a power of two of them. It uses them up.
func perfectRoot(hashes []tlog.Hash) tlog.Hash {
	for n := len(hashes); n > 1; n /= 2 {
		for i := range n / 2 {
			hashes[i] = nodeHash(&hashes[2*i], &hashes[2*i+1])
		}
	}
	return hashes[0]
}

// frontier is the right edge of a growing tree: for each level of tiles, the
// hashes of the tile that is not full yet.
type frontier struct {
	levels [][]tlog.Hash
}

// push adds a hash at a level. A tile that becomes full is handed to full and
// becomes a hash of the next level.
func (f *frontier) push(level int, h tlog.Hash, full func(level int, hashes []tlog.Hash)) {
	for len(f.levels) <= level {
		f.levels = append(f.levels, make([]tlog.Hash, 0, tileWidth))
	}
	f.levels[level] = append(f.levels[level], h)
	if len(f.levels[level]) < tileWidth {
		return
	}
	hashes := f.levels[level]
	full(level, hashes)
	root := perfectRoot(hashes)
	f.levels[level] = hashes[:0]
	f.push(level+1, root, full)
}

// root is the tree's root with some more leaves at its right edge.
func (f *frontier) root(leaves []tlog.Hash) tlog.Hash {
	var perfect []tlog.Hash // subtrees from left to right
	cut := func(hashes []tlog.Hash) {
		for size := tileWidth / 2; size > 0; size /= 2 {
			if len(hashes) >= size {
				perfect = append(perfect, perfectRoot(append([]tlog.Hash(nil), hashes[:size]...)))
				hashes = hashes[size:]
			}
		}
	}
	for level := len(f.levels) - 1; level >= 0; level-- {
		cut(f.levels[level])
	}
	cut(leaves)
	if len(perfect) == 0 {
		return sha256.Sum256(nil) // the empty tree
	}
	root := perfect[len(perfect)-1]
	for i := len(perfect) - 2; i >= 0; i-- {
		root = nodeHash(&perfect[i], &root)
	}
	return root
}

func hashesOf(data []byte) []tlog.Hash {
	out := make([]tlog.Hash, len(data)/hashSize)
	for i := range out {
		out[i] = tlog.Hash(data[i*hashSize:])
	}
	return out
}
