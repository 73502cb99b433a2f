package saved

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// Changes is what differs between two snapshots. Each list is sorted by kind,
// namespace and name.
type Changes struct {
	Added   []bailey.Ref
	Removed []bailey.Ref
	Changed []Changed
	// Appeared are objects of the new snapshot that the old one did not look
	// for, and Unseen those of the old one that the new one did not: nobody
	// knows whether they were added or removed.
	Appeared []bailey.Ref
	Unseen   []bailey.Ref
	// Unchanged counts the objects that are the same in both.
	Unchanged int
}

// Changed is an object that is different in the two snapshots.
type Changed struct {
	bailey.Ref
	// Fields are the paths that differ, two steps deep: "spec.replicas",
	// "metadata.labels". A lone "metadata" or "spec" was added or removed whole.
	Fields []string
}

// Diff compares two snapshots object by object. Where an object was read, and in
// which API version, does not count as long as its content is the same. Like
// Write, it must have the snapshots for itself.
func Diff(old, new *bailey.Snapshot) Changes {
	var c Changes
	kinds := append(old.Kinds(), new.Kinds()...)
	slices.Sort(kinds)
	for _, kind := range slices.Compact(kinds) {
		before, after := old.List(kind, ""), new.List(kind, "")
		for len(before) > 0 || len(after) > 0 {
			switch order := compare(before, after); {
			case order < 0:
				ref := before[0].Ref
				if new.Unseen(kind, ref.Namespace, ref.Name) == nil {
					c.Removed = append(c.Removed, ref)
				} else {
					c.Unseen = append(c.Unseen, ref)
				}
				before = before[1:]
			case order > 0:
				ref := after[0].Ref
				if old.Unseen(kind, ref.Namespace, ref.Name) == nil {
					c.Added = append(c.Added, ref)
				} else {
					c.Appeared = append(c.Appeared, ref)
				}
				after = after[1:]
			default:
				if fields := differences(before[0], after[0]); len(fields) > 0 {
					c.Changed = append(c.Changed, Changed{after[0].Ref, fields})
				} else {
					c.Unchanged++
				}
				before, after = before[1:], after[1:]
			}
		}
	}
	return c
}

// compare orders the first facts of two lists of one kind.
func compare(a, b []*bailey.Fact) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return a[0].Ref.Compare(b[0].Ref)
}

// differences gives the fields that differ between two facts with one Ref.
func differences(a, b *bailey.Fact) []string {
	if a == b {
		return nil
	}
	one, err1 := appendObject(nil, a.Object)
	two, err2 := appendObject(nil, b.Object)
	if err1 == nil && err2 == nil && bytes.Equal(one, two) && reflect.TypeOf(a.Object) == reflect.TypeOf(b.Object) {
		return nil
	}
	before, after := fields(a.Object), fields(b.Object)
	var paths []string
	for key := range union(before, after) {
		if key == "apiVersion" || key == "kind" {
			continue
		}
		x, isMap1 := before[key].(map[string]any)
		y, isMap2 := after[key].(map[string]any)
		if !isMap1 || !isMap2 {
			if !reflect.DeepEqual(before[key], after[key]) {
				paths = append(paths, key)
			}
			continue
		}
		for inner := range union(x, y) {
			if !reflect.DeepEqual(x[inner], y[inner]) {
				paths = append(paths, key+step(inner))
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// step is the last step of a path: ".name", or `["odd.name"]`.
func step(key string) string {
	if strings.ContainsAny(key, `."[]/`) {
		return "[" + strconv.Quote(key) + "]"
	}
	return "." + key
}

// fields gives the object as maps, lists and scalars; nil when it has no JSON.
func fields(content any) map[string]any {
	text, err := json.Marshal(content)
	if err != nil {
		return nil
	}
	var m map[string]any
	if json.Unmarshal(text, &m) != nil {
		return nil
	}
	return m
}

func union(a, b map[string]any) map[string]struct{} {
	keys := make(map[string]struct{}, len(a)+len(b))
	for k := range a {
		keys[k] = struct{}{}
	}
	for k := range b {
		keys[k] = struct{}{}
	}
	return keys
}
