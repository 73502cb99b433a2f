package manifests

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Scalars mean what they mean to kubectl, which reads YAML 1.1: a plain yes or
// off is a boolean, and a timestamp is a string.

const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// isPlain reports whether the scalar may be something else than a string.
func isPlain(n *yaml.Node) bool {
	if n.Style&yaml.TaggedStyle != 0 {
		return n.Tag != "!!str" && n.Tag != "!!binary"
	}
	return n.Style&quoted == 0
}

func isNull(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || len(n.Value) > 4 || !isPlain(n) {
		return false
	}
	switch n.Value {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// parseBool takes the booleans of YAML 1.1.
func parseBool(s string) (value, ok bool) {
	switch s {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// parseInt takes the integers of YAML 1.1 and 1.2: 10, 1_000, 0x1f, 0o17, 017,
// 0b11.
func parseInt(s string) (int64, bool) {
	if s == "" || s[0] != '-' && s[0] != '+' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && (len(s) == 1 || s[0] != '0') {
		return n, true
	}
	if strings.IndexByte(s, '_') >= 0 {
		s = strings.ReplaceAll(s, "_", "")
	}
	n, err := strconv.ParseInt(s, 0, 64)
	return n, err == nil
}

func parseFloat(s string) (float64, bool) {
	switch s {
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN":
		return 0, false // JSON has none
	case "":
		return 0, false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E', c == '_':
		default:
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// scalar gives a scalar as a nil, bool, int64, float64 or string, which is how
// objects without a type hold them.
func (d *decoder) scalar(n *yaml.Node) any {
	if n.Tag == "!!binary" {
		if b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), "")); err == nil {
			return string(b)
		}
		return n.Value
	}
	if isNull(n) {
		return nil
	}
	if n.Tag == "!!str" && n.Style&yaml.TaggedStyle == 0 {
		// YAML 1.2 takes it for a string; what a program put there as a string
		// is not to be read as a number.
		if _, ok := parseInt(n.Value); ok || n.Value == "true" || n.Value == "false" {
			return d.intern(n.Value)
		}
	}
	if isPlain(n) {
		if b, ok := parseBool(n.Value); ok {
			return b
		}
		if i, ok := parseInt(n.Value); ok {
			return i
		}
		if f, ok := parseFloat(n.Value); ok {
			return f
		}
	}
	return d.intern(n.Value)
}

// key gives a mapping's name as JSON has it: what YAML 1.1 takes for a boolean
// or a number is written as one ("on" becomes "true", 010 becomes "8").
func (d *decoder) key(n *yaml.Node) string {
	if s := n.Value; len(s) > 0 && isPlain(n) {
		switch c := s[0]; {
		case '0' <= c && c <= '9', c == '.', c == '-', c == '+':
			switch v := d.scalar(n).(type) {
			case int64:
				return strconv.FormatInt(v, 10)
			case float64:
				return strconv.FormatFloat(v, 'g', -1, 64)
			}
		default:
			if b, ok := parseBool(s); ok {
				return strconv.FormatBool(b)
			}
		}
	}
	return d.intern(n.Value)
}
