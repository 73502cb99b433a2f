package main

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// editedObject is what was changed of an object since it was judged.
type editedObject struct {
	set map[string]string // operation and value, by pointer
	// moved holds for lists, by pointer, the first index at which another item is
	// than the one that was judged.
	moved map[string]int
}

// movedBy is the list of which an operation moves items, and the first of them.
func movedBy(op bailey.PatchOp) (list string, index int, moves bool) {
	at := strings.LastIndexByte(op.Path, '/')
	if op.Op != "remove" && op.Op != "add" || at < 0 {
		return "", 0, false
	}
	index, err := strconv.Atoi(op.Path[at+1:])
	return op.Path[:at], index, err == nil
}

// with is the object with the patch made too. A patch that was made for another
// state of the object than it is in now waits: errLater.
func (o *editedObject) with(patch []bailey.PatchOp) (*editedObject, error) {
	next := &editedObject{set: map[string]string{}, moved: map[string]int{}}
	if o != nil {
		maps.Copy(next.set, o.set)
		maps.Copy(next.moved, o.moved)
	}
	for _, op := range patch {
		if o != nil && o.hasMoved(op.Path) {
			return nil, errLater
		}
		if list, index, moves := movedBy(op); moves {
			if from, known := next.moved[list]; !known || index < from {
				next.moved[list] = index
			}
		}
		text, err := json.Marshal(op.Value)
		if err != nil {
			return nil, err
		}
		if string(text) == "{}" {
			continue // a parent for what is set in it
		}
		value := op.Op + string(text)
		if o != nil && o.meets(op, value) {
			return nil, errLater
		}
		next.set[op.Path] = value
	}
	return next, nil
}

// hasMoved reports whether the pointer leads through an item that is no longer
// where it was judged.
func (o *editedObject) hasMoved(pointer string) bool {
	for list, from := range o.moved {
		below, within := strings.CutPrefix(pointer, list+"/")
		step, _, _ := strings.Cut(below, "/")
		if index, err := strconv.Atoi(step); within && err == nil && index >= from {
			return true
		}
	}
	return false
}

// meets reports whether an operation changes a place that was changed, what stands
// in one, or what one stands in, and not to the same value.
func (o *editedObject) meets(op bailey.PatchOp, value string) bool {
	for pointer, other := range o.set {
		same := pointer == op.Path && other == value && !strings.HasSuffix(pointer, "/-") && op.Op != "remove"
		if !same && (pointer == op.Path || strings.HasPrefix(pointer, op.Path+"/") || strings.HasPrefix(op.Path, pointer+"/")) {
			return true
		}
	}
	return false
}
