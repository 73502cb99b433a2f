package manifests

import (
	"bytes"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey/internal/yamlstream"
)

// chunk is a part of a file that can be parsed by itself: one document, or
// several where a "..." ends one and no "---" begins the next.
type chunk struct {
	data []byte
	line int // lines of the file before it
	// items tells that the data is some of the items of a List.
	items bool
	// node is the document already parsed, in the place of data.
	node *yaml.Node
}

// split cuts a stream of YAML into its documents. Those of nothing but blank lines and
// comments are left out.
//
// What a chart gives is cut as helm cuts it, at each line that starts with
// "---": templates often end up with something right behind the dashes.
func split(data []byte, chart bool, yield func(chunk) bool) {
	data = bytes.TrimPrefix(data, yamlstream.BOM)
	line := 0
	for len(data) > 0 {
		end := yamlstream.First(data, chart)
		part := data[:end]
		if chart {
			part = bytes.TrimPrefix(part, []byte("---"))
		}
		if !yamlstream.IsBlank(part) && !splitList(chunk{data: part, line: line}, yield) {
			return
		}
		line += bytes.Count(part, []byte("\n"))
		data = data[end:]
	}
}

const (
	// longList is from what size on a List is cut, and itemsAtOnce about how
	// much of one is parsed at once, in bytes.
	longList    = 512 << 10
	itemsAtOnce = 64 << 10
)

// splitList cuts a long List as kubectl get -o yaml writes it, so that neither
// the parser nor the memory has to take a whole cluster at once. Its items
// begin at the left margin, where nothing else that belongs to an item can
// stand. It yields any other chunk as it is.
func splitList(c chunk, yield func(chunk) bool) bool {
	head := []byte("apiVersion: v1\nitems:\n")
	body, found := bytes.CutPrefix(bytes.TrimPrefix(c.data, []byte("---\n")), head)
	tail := bytes.LastIndex(body, []byte("\nkind: List\n"))
	if len(c.data) < longList || !found || tail < 0 || !bytes.HasPrefix(body, []byte("- ")) || bytes.Contains(body[tail:], []byte("\n- ")) {
		return yield(c)
	}
	line := c.line + bytes.Count(c.data[:len(c.data)-len(body)], []byte("\n"))
	for body = body[:tail+1]; len(body) > 0; {
		end := len(body)
		if end > itemsAtOnce {
			if i := bytes.Index(body[itemsAtOnce:], []byte("\n- ")); i >= 0 {
				end = itemsAtOnce + i + 1
			}
		}
		if !yield(chunk{data: body[:end], line: line, items: true}) {
			return false
		}
		line += bytes.Count(body[:end], []byte("\n"))
		body = body[end:]
	}
	return true
}
