package main

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/fix"
)

// patchedObject is an object with the patches that were made for it so far.
type patchedObject struct {
	name    string
	target  map[string]any // by which kustomize finds it
	before  []byte         // as it was given, as JSON
	object  []byte
	changes [][]bailey.PatchOp
	ops     []bailey.PatchOp // that they take: what is there already is left out
	checked *editedObject    // nil as long as nothing was changed
	// text is the patch from before to object; empty until it is asked for.
	text string
}

// newPatchedObject begins with an object as it is given, as JSON.
func newPatchedObject(fact *bailey.Fact, object []byte) (*patchedObject, error) {
	var head struct {
		Metadata struct{ Name, Namespace string }
	}
	if err := json.Unmarshal(object, &head); err != nil || head.Metadata.Name == "" {
		return nil, errors.New("the object has no name that a patch could give")
	}
	kind, group := fact.Kind.Split()
	// Kustomize takes names for regular expressions.
	target := map[string]any{"kind": kind, "name": regexp.QuoteMeta(head.Metadata.Name)}
	if group != "" {
		target["group"] = group
	}
	if head.Metadata.Namespace != "" {
		target["namespace"] = head.Metadata.Namespace
	}
	return &patchedObject{name: head.Metadata.Name, target: target, before: object, object: object}, nil
}

// with is the object with one more change. One of a place that an earlier one
// changed is errLater.
func (o *patchedObject) with(change []bailey.PatchOp) (*patchedObject, error) {
	checked, err := o.checked.with(change)
	if err != nil {
		return nil, err
	}
	out, made, err := fix.Apply(o.object, change)
	if err != nil {
		return nil, err
	}
	return &patchedObject{name: o.name, target: o.target, before: o.before, object: out,
		changes: append(slices.Clone(o.changes), change), ops: append(slices.Clone(o.ops), made...), checked: checked}, nil
}

// from is the same changes of the object as it is given now.
func (o *patchedObject) from(given []byte) (*patchedObject, error) {
	next := &patchedObject{name: o.name, target: o.target, before: given, object: given}
	for _, change := range o.changes {
		var err error
		if next, err = next.with(change); err != nil {
			return nil, err
		}
	}
	return next, nil
}

// patch is the text of a strategic-merge patch, if kustomize makes of it what the
// operations do, and of a JSON patch where not.
func (o *patchedObject) patch() (string, error) {
	if o.text != "" {
		return o.text, nil
	}
	wanted, err := canonical(o.object)
	if err != nil {
		return "", err
	}
	if patch := strategicPatch(o.before, o.object); patch != nil {
		if o.text, err = strategicText(o.before, o.name, patch); err != nil {
			return "", err
		}
		if out, err := patchedAs(o.before, map[string]any{"target": o.target, "patch": o.text}); err == nil && out == wanted {
			return o.text, nil
		}
	}
	o.text, err = patchText(o.ops)
	return o.text, err
}
