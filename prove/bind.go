package prove

import (
	"encoding/json"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// bindings are the values of ${name} in the steps of one probe.
type bindings map[string]string

var placeholder = regexp.MustCompile(`\$\{([a-z][a-zA-Z0-9]*)\}`)

// expand gives the step with every ${name} replaced. A name that nobody bound is
// an error: an experiment must not act on something else than it planned.
func expand(step bailey.Step, b bindings) (bailey.Step, error) {
	data, err := json.Marshal(step)
	if err != nil {
		return step, err
	}
	var missing []string
	text := placeholder.ReplaceAllStringFunc(string(data), func(match string) string {
		value, bound := b[match[2:len(match)-1]]
		if !bound {
			missing = append(missing, match)
			return match
		}
		quoted, _ := json.Marshal(value) // a string always marshals
		return string(quoted[1 : len(quoted)-1])
	})
	if len(missing) > 0 {
		return step, fmt.Errorf("the plan uses %s, which no earlier step gave", strings.Join(missing, ", "))
	}
	var expanded bailey.Step
	err = json.Unmarshal([]byte(text), &expanded)
	return expanded, err
}

// bind takes out of an answer what the step names.
func (b bindings) bind(step *bailey.Step, a answer) error {
	names := make([]string, 0, len(step.Bind))
	for name := range step.Bind {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		value, found := lookup(a.output, step.Bind[name])
		if !found {
			return fmt.Errorf("the answer holds no %s", step.Bind[name])
		}
		switch v := value.(type) {
		case string:
			b[name] = v
		default:
			data, err := json.Marshal(v)
			if err != nil {
				return err
			}
			b[name] = string(data)
		}
	}
	return nil
}

// lookup follows a dotted path through maps and lists. A dot in a key is written
// "\.". What is there and null counts as not there.
func lookup(object map[string]any, path string) (any, bool) {
	var at any = object
	for _, key := range strings.Split(strings.ReplaceAll(path, `\.`, "\x00"), ".") {
		key = strings.ReplaceAll(key, "\x00", ".")
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, at != nil
}

// merge lays a JSON merge patch (RFC 7386) over an object, in place.
func merge(object, patch map[string]any) {
	for key, value := range patch {
		if value == nil {
			delete(object, key)
			continue
		}
		into, isMap := object[key].(map[string]any)
		from, patches := value.(map[string]any)
		if isMap && patches {
			merge(into, from)
			continue
		}
		object[key] = value
	}
}
