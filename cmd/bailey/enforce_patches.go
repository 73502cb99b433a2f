package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/check"
	"github.com/baileyhq/bailey/enforce"
	"github.com/baileyhq/bailey/report"
)

// layoutPatches is a kustomize component of patches for the source of workloads.
const layoutPatches = "patches"

// sourcePatches are the changes of workloads and ServiceAccounts that silence findings, by
// object.
type sourcePatches struct {
	snapshot *bailey.Snapshot
	objects  map[bailey.Ref]*sourcePatch
	made     int      // findings
	left     []string // what was not made, and why
}

// sourcePatch is what changes in one object.
type sourcePatch struct {
	*patchedObject
	remarks []string // a comment for each change
}

// writePatches writes what rules would change in workloads and ServiceAccounts into a
// folder, for those who keep their source elsewhere. Nothing of it is applied.
func (a *app) writePatches(ctx context.Context, f *enforceFlags, s *bailey.Snapshot, chosen []*bailey.Control, folder string) error {
	conf, err := f.target.load()
	if err != nil {
		return err
	}
	_, options, err := (&judgeFlags{}).options(conf)
	if err != nil {
		return err
	}
	r, err := check.Judge(ctx, s, chosen, options)
	if err != nil {
		return err
	}
	p := &sourcePatches{snapshot: s, objects: map[bailey.Ref]*sourcePatch{}}
	for i := range r.Findings {
		finding := &r.Findings[i]
		if finding.Waiver != nil || finding.Baseline {
			continue
		}
		if err := p.add(finding, r.FixOf(finding)); err != nil {
			p.left = append(p.left, fmt.Sprintf("%s: %s: %v", finding.Object, finding.Rule, err))
		}
	}
	files, err := p.render()
	if err != nil {
		return err
	}
	if err := replaceFiles(folder, files); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "Patches of %s for %s written to %s.\nTo make them: put the folder into `components:` of the kustomization that builds these objects, and read the comments first.\n",
		plural(len(p.objects), "object"), plural(p.made, "finding"), folder)
	for _, why := range p.left {
		fmt.Fprintf(a.stdout, "not made: %s\n", why)
	}
	return nil
}

// add makes all changes of one finding, or none. What changes another kind of object, or
// makes one, is a guard's to do.
func (p *sourcePatches) add(finding *bailey.Finding, changes []bailey.Change) error {
	staged := map[bailey.Ref]*sourcePatch{}
	for _, c := range changes {
		fact := p.snapshot.Get(c.Object)
		if fact == nil || len(c.Patch) == 0 || !c.Object.Kind.IsPodBearing() && c.Object.Kind != bailey.KindServiceAccount {
			return nil
		}
		if fact.Owner != (bailey.Ref{}) {
			return fmt.Errorf("%s makes it again: change that", fact.Owner)
		}
		o := cmp.Or(staged[c.Object], p.objects[c.Object])
		if o == nil {
			object, err := wholeObject(fact)
			if err != nil {
				return err
			}
			begun, err := newPatchedObject(fact, object)
			if err != nil {
				return err
			}
			o = &sourcePatch{patchedObject: begun}
		}
		next, err := o.change(finding, c)
		if err != nil {
			return err
		}
		staged[c.Object] = next
	}
	if len(staged) > 0 {
		p.made++
	}
	maps.Copy(p.objects, staged)
	return nil
}

// wholeObject is the object of a fact as JSON, with its version and kind.
func wholeObject(fact *bailey.Fact) ([]byte, error) {
	text, err := json.Marshal(fact.Object)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"apiVersion": fact.APIVersion, "kind": fact.Kind.Short()} {
		if fields[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(fields)
}

// change is the object with one more change, and what is said of it.
func (o *sourcePatch) change(finding *bailey.Finding, c bailey.Change) (*sourcePatch, error) {
	patched, err := o.with(c.Patch)
	if errors.Is(err, errLater) {
		return nil, errors.New("another change is of the same place: make that one, and plan again")
	}
	if err != nil {
		return nil, err
	}
	note := c.Note
	c.Note = ""
	remarks := append(slices.Clone(o.remarks), comment(finding.Rule+": "+report.DescribeChange(c, c.Object)))
	if note != "" {
		remarks = append(remarks, comment("  first: "+note))
	}
	return &sourcePatch{patched, remarks}, nil
}

// comment is a line of a YAML file, whatever the text holds.
func comment(text string) string {
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	return "# " + lead + strings.Join(strings.Fields(text), " ") + "\n"
}

// render gives a component of kustomize, and a file of each object's patch.
func (p *sourcePatches) render() (map[string][]byte, error) {
	files := map[string][]byte{}
	patches := []any{}
	refs := slices.SortedFunc(maps.Keys(p.objects), func(a, b bailey.Ref) int { return strings.Compare(a.String(), b.String()) })
	for _, ref := range refs {
		o := p.objects[ref]
		text, err := o.patch()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		// A namespace has no dot in its name, so that no two objects have one file.
		name := strings.ToLower(ref.Kind.Short()) + "." + cmp.Or(ref.Namespace, "_") + "." + ref.Name + ".yaml"
		files[name] = []byte(enforce.Marker + strings.Join(o.remarks, "") + text + "\n")
		patches = append(patches, map[string]any{"path": name, "target": o.target})
	}
	text, err := yaml.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "patches": patches})
	if err != nil {
		return nil, err
	}
	files["kustomization.yaml"] = []byte(enforce.Marker + string(text))
	return files, nil
}
