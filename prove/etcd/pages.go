package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// A bbolt database is a file of pages: two meta pages, of which the one with the
// higher transaction counts, and trees of branch and leaf pages. It is read here
// and not by the bbolt library, which maps the file and follows its offsets
// unchecked: a damaged or hostile snapshot could crash the reader, or make it read
// past the file. Here every page is read into memory of its own, every offset is
// checked, and no page is visited twice.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	headerSize  = 16 // of a page
	elementSize = 16
	metaSize    = 64

	branchFlag = 0x01
	leafFlag   = 0x02
	bucketFlag = 0x01 // of a leaf element

	smallestPage = 1 << 9
	largestPage  = 1 << 16
	// runLimit bounds a page with those that it overflows into, in bytes: one value
	// is in memory at a time.
	runLimit   = 128 << 20
	depthLimit = 40
)

var errNoDatabase = errors.New("it is no etcd snapshot\nhint: `etcdctl snapshot save FILE` writes one; a compressed one must be unpacked first")

// pages are those of one database.
type pages struct {
	r        io.ReaderAt
	size     int64
	pageSize int64
	root     uint64 // the page of the bucket of buckets
	left     int64  // how many pages may still be visited
}

// element is an entry of a leaf. Key and value are valid until the visitor returns.
type element struct {
	bucket     bool
	key, value []byte
}

var order = binary.LittleEndian

// openPages finds the newest meta page.
func openPages(r io.ReaderAt, size int64) (*pages, error) {
	var best *pages
	var newest uint64
	buffer := make([]byte, headerSize+metaSize)
	// The second meta page is at the page size, which only a meta page tells.
	for at := int64(0); at <= largestPage && at+int64(len(buffer)) <= size; at = max(smallestPage, at*2) {
		if _, err := r.ReadAt(buffer, at); err != nil {
			return nil, err
		}
		m := buffer[headerSize:]
		sum := fnv.New64a()
		sum.Write(m[:56])
		pageSize := int64(order.Uint32(m[8:]))
		if order.Uint32(m) != boltMagic || order.Uint32(m[4:]) != boltVersion || order.Uint64(m[56:]) != sum.Sum64() ||
			pageSize < smallestPage || pageSize > largestPage || pageSize&(pageSize-1) != 0 || at != 0 && at != pageSize {
			continue
		}
		if transaction := order.Uint64(m[48:]); best == nil || transaction > newest {
			newest = transaction
			best = &pages{r: r, size: size, pageSize: pageSize, root: order.Uint64(m[16:])}
		}
	}
	if best == nil {
		return nil, errNoDatabase
	}
	return best, nil
}

// bucket visits the elements of the bucket with the name, in order. A database
// without it is none of etcd's.
func (p *pages) bucket(name string, visit func(element) error) error {
	p.left = p.size/p.pageSize + 1
	var root uint64
	var inline []byte
	found := false
	err := p.tree(p.root, 0, func(e element) error {
		if !e.bucket || string(e.key) != name {
			return nil
		}
		if len(e.value) < headerSize {
			return errors.New("a bucket without a header")
		}
		found, root = true, order.Uint64(e.value)
		if root == 0 {
			inline = append([]byte{}, e.value[headerSize:]...)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errNoDatabase
	case root == 0: // so small that it lies inside its parent
		defer clear(inline)
		return p.page(inline, 0, visit)
	}
	return p.tree(root, 0, visit)
}

// tree visits the leaves under a page.
func (p *pages) tree(id uint64, depth int, visit func(element) error) error {
	if depth > depthLimit {
		return fmt.Errorf("its tree of pages is deeper than %d", depthLimit)
	}
	if p.left--; p.left < 0 {
		return errors.New("its pages form a circle")
	}
	if id < 2 || id > uint64(p.size/p.pageSize) {
		return fmt.Errorf("page %d is not in the file", id)
	}
	at := int64(id) * p.pageSize
	var header [headerSize]byte
	if _, err := p.r.ReadAt(header[:], at); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if order.Uint64(header[:]) != id {
		return fmt.Errorf("page %d says that it is page %d", id, order.Uint64(header[:]))
	}
	run := (int64(order.Uint32(header[12:])) + 1) * p.pageSize
	if run > runLimit || at+run > p.size {
		return fmt.Errorf("page %d: a run of %d bytes", id, run)
	}
	data := make([]byte, run)
	defer clear(data)
	if _, err := p.r.ReadAt(data, at); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if err := p.page(data, depth, visit); err != nil {
		return err
	}
	return nil
}

// page visits what is in a page, or under it.
func (p *pages) page(data []byte, depth int, visit func(element) error) error {
	if len(data) < headerSize {
		return errors.New("a page without a header")
	}
	flags, count := order.Uint16(data[8:]), int(order.Uint16(data[10:]))
	if headerSize+count*elementSize > len(data) {
		return fmt.Errorf("a page of %d bytes cannot hold %d elements", len(data), count)
	}
	for i := range count {
		at := headerSize + i*elementSize
		e := data[at:]
		switch {
		case flags&branchFlag != 0:
			if err := p.tree(order.Uint64(e[8:]), depth+1, visit); err != nil {
				return err
			}
		case flags&leafFlag != 0:
			position, keySize, valueSize := uint64(order.Uint32(e[4:])), uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
			if position+keySize+valueSize > uint64(len(e)) {
				return errors.New("an element lies outside of its page")
			}
			e := element{order.Uint32(e)&bucketFlag != 0, e[position : position+keySize], e[position+keySize : position+keySize+valueSize]}
			if err := visit(e); err != nil {
				return err
			}
		default:
			return fmt.Errorf("a page of the kind %#x in a tree", flags)
		}
	}
	return nil
}
