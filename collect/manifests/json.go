package manifests

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// parseJSON parses a stream of JSON values into nodes with their positions, and
// reports whether the data is JSON. YAML takes most of JSON as well, but not
// all of its escapes.
func parseJSON(data []byte) ([]*yaml.Node, bool) {
	if bytes.HasPrefix(data, []byte("---")) || !json.Valid(data) && !isJSONStream(data) {
		return nil, false
	}
	p := &jsonParser{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), line: 1}
	p.decoder.UseNumber()
	var nodes []*yaml.Node
	for {
		n, err := p.value()
		if err == io.EOF {
			return nodes, true
		}
		if err != nil {
			return nil, false
		}
		nodes = append(nodes, n)
	}
}

// isJSONStream reports whether the data is several JSON values after another.
func isJSONStream(data []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err == io.EOF
		}
	}
}

// jsonParser follows a JSON decoder through the data to count lines.
type jsonParser struct {
	data    []byte
	decoder *json.Decoder
	at      int // up to here lines are counted
	line    int
	start   int // of the line
}

// token gives the next token and a node at its position.
func (p *jsonParser) token() (json.Token, *yaml.Node, error) {
	from := int(p.decoder.InputOffset())
	t, err := p.decoder.Token()
	if err != nil {
		return nil, nil, err
	}
	for from < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,:"), p.data[from]) >= 0 {
		from++
	}
	for ; p.at < from; p.at++ {
		if p.data[p.at] == '\n' {
			p.line++
			p.start = p.at + 1
		}
	}
	return t, &yaml.Node{Line: p.line, Column: from - p.start + 1}, nil
}

func (p *jsonParser) value() (*yaml.Node, error) {
	t, n, err := p.token()
	if err != nil {
		return nil, err
	}
	return n, p.fill(n, t)
}

// fill completes the node that the token begins.
func (p *jsonParser) fill(n *yaml.Node, t json.Token) error {
	n.Kind = yaml.ScalarNode
	switch t := t.(type) {
	case nil:
		n.Value, n.Tag = "null", "!!null"
	case bool:
		n.Value, n.Tag = strconv.FormatBool(t), "!!bool"
	case json.Number:
		n.Value, n.Tag = t.String(), "!!int"
	case string:
		n.Value, n.Tag, n.Style = t, "!!str", yaml.DoubleQuotedStyle
	case json.Delim:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		if t == '{' {
			n.Kind, n.Tag = yaml.MappingNode, "!!map"
		}
		for p.decoder.More() {
			if n.Kind == yaml.MappingNode {
				key, err := p.value()
				if err != nil {
					return err
				}
				n.Content = append(n.Content, key)
			}
			item, err := p.value()
			if err != nil {
				return err
			}
			n.Content = append(n.Content, item)
		}
		_, _, err := p.token() // the closing one
		return err
	}
	return nil
}
