package saved

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/baileyhq/bailey/collect/bounds"
)

var errTooDeep = fmt.Errorf("lists and maps are nested deeper than %d", maxDepth)

// appendJSON encodes what a custom resource holds, keys in order. Unlike
// encoding/json it keeps a float with a whole value a float.
func appendJSON(to []byte, value any, depth int) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(to, "null"...), nil
	case bool:
		return strconv.AppendBool(to, v), nil
	case string:
		return appendString(to, v)
	case int64:
		return strconv.AppendInt(to, v, 10), nil
	case int:
		return strconv.AppendInt(to, int64(v), 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return to, fmt.Errorf("%v is not a number of JSON", v)
		}
		start := len(to)
		to = strconv.AppendFloat(to, v, 'g', -1, 64)
		for _, c := range to[start:] {
			if c == '.' || c == 'e' {
				return to, nil
			}
		}
		return append(to, ".0"...), nil
	case []any:
		if depth <= 0 {
			return to, errTooDeep
		}
		to = append(to, '[')
		for i, item := range v {
			if i > 0 {
				to = append(to, ',')
			}
			var err error
			if to, err = appendJSON(to, item, depth-1); err != nil {
				return to, err
			}
		}
		return append(to, ']'), nil
	case map[string]any:
		if depth <= 0 {
			return to, errTooDeep
		}
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		to = append(to, '{')
		for i, k := range keys {
			if i > 0 {
				to = append(to, ',')
			}
			var err error
			if to, err = appendString(to, k); err != nil {
				return to, err
			}
			to = append(to, ':')
			if to, err = appendJSON(to, v[k], depth-1); err != nil {
				return to, err
			}
		}
		return append(to, '}'), nil
	}
	return to, fmt.Errorf("a value of the type %T has no place in a custom resource", value)
}

func appendString(to []byte, s string) ([]byte, error) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			text, err := json.Marshal(s)
			return append(to, text...), err
		}
	}
	return append(append(append(to, '"'), s...), '"'), nil
}

// decodeJSON decodes into v, with whole numbers as int64, unless the nesting is
// deeper than the limit.
func decodeJSON(text []byte, v any, depth int) error {
	if !bounds.Shallow(text, depth) {
		return fmt.Errorf("JSON is nested deeper than %d lists and maps", depth)
	}
	if len(text) == 0 {
		return errors.New("JSON is empty")
	}
	return utiljson.Unmarshal(text, v)
}
