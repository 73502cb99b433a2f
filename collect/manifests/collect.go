// Package manifests reads Kubernetes objects from files: YAML and JSON, folders
// of them, standard input, Helm charts and kustomizations.
//
// # What a folder means
//
// A folder named as a target that is a chart (it holds Chart.yaml) or a
// kustomization is rendered, and nothing else in it is read. Any other folder
// is walked: files that end in .yaml, .yml and .json are read; each chart in it
// is rendered with its default values; of the kustomizations in it those are
// built that no other one in it refers to, as overlays are and bases are not. A
// file that a kustomization reads is part of that kustomization and is not read
// by itself. Hidden files, hidden folders and node_modules are left out.
//
// # What is seen
//
// A folder is taken to be complete for the kinds that ship with applications
// and open for the platform's: see Coverage.
package manifests

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/object"
)

// Options are how to read files. The zero Options are usable.
type Options struct {
	// Namespace is where objects go that name none; "default" if empty.
	Namespace string
	// Version is the Kubernetes version that the files are meant for; if zero,
	// bailey.LatestVersion is assumed, and the snapshot says so.
	Version bailey.Version
	// Complete are kinds of which the targets hold all objects, beyond those of
	// which a folder always does.
	Complete []bailey.Kind
	// Values are files of Helm values, later ones winning, and Set are
	// assignments as helm's --set takes them. They apply to charts that are
	// targets themselves, not to those found in a walk.
	Values, Set []string
	// Release is the name that charts are rendered under; the chart's if empty.
	Release string
	// Stdin is what the target "-" reads.
	Stdin io.Reader
	// Whole, if set, is shown each object before what no rule reads is cut out of it,
	// as kube.Options.Whole is; one of a namespaced kind bears its namespace.
	Whole func(apiVersion, kind string, object any)
	// Each, if set, is shown each object, one that is given again too. tree gives it as
	// maps, lists and scalars with all that is written in it, values of Secrets too, and
	// is to be called before Each returns. One goroutine at a time calls.
	Each func(f *bailey.Fact, tree func() any)
	// Refused, if set, is told of each chart that is rendered what the schemas of its values
	// (values.schema.json) refuse, or that they cannot be checked. It changes nothing else.
	Refused func(chart string, refused []string, unchecked error)
	// Overlay holds texts that are read in the place of what is in files, by absolute
	// path, links resolved: manifests, kustomizations, and values.yaml of charts.
	Overlay map[string][]byte
	// At is the moment of the snapshot; now if zero.
	At time.Time
	// Root, if set, is the folder out of which nothing is read, whatever
	// kustomizations and symbolic links in it name.
	Root string
}

// Collect reads the targets: paths, or "-" for Options.Stdin. What cannot be
// read within them is named in the targets of the snapshot's metadata and
// counts as not seen; the rest goes on. The error is of a target that is not
// there, of values that are no values, or of the context. A snapshot that holds
// nothing is not an error here.
func Collect(ctx context.Context, targets []string, opts Options) (*bailey.Snapshot, error) {
	if opts.Namespace == "" {
		opts.Namespace = "default"
	}
	meta := bailey.Meta{At: opts.At, Medium: "files", Version: opts.Version}
	if meta.At.IsZero() {
		meta.At = time.Now().UTC()
	}
	if meta.Version.IsZero() {
		meta.Version, meta.AssumedVersion = bailey.LatestVersion, true
	}
	if opts.Root != "" {
		opts.Root = Absolute(opts.Root)
	}
	c := &collector{opts: opts, version: meta.Version, budget: maxTotal, written: map[string][]written{}}
	for _, name := range targets {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.addTarget(ctx, name); err != nil {
			return nil, err
		}
	}
	results, err := c.parse(ctx)
	if err != nil {
		return nil, err
	}
	b := bailey.NewBuilder(meta)
	c.build(b, results)
	return b.Snapshot(), nil
}

// collector gathers what the targets hold.
type collector struct {
	opts    Options
	version bailey.Version
	budget  int64 // bytes that may still be read
	targets []*target
	inputs  []input
	written map[string][]written // the objects in files of kustomizations, by absolute path
	showing sync.Mutex           // of Options.Each
}

// target is a bailey.Target in the making.
type target struct {
	bailey.Target
	broken []broken
}

// input is one stream of documents to parse.
type input struct {
	target *target
	// name is how the input is shown: a path, a template.
	name string
	// path is the file to read, reader the stream, data the text, node the
	// document: one of them is set.
	path   string
	reader io.Reader
	data   []byte
	node   *yaml.Node
	// place is set where positions need more than the input: see reader.
	place func(*input, chunk, positions) bailey.Source
	// chart tells that it is what a chart's template gave.
	chart bool
	// build is what gives it: the folder of a kustomization, a chart; empty for a file
	// by itself.
	build string
}

func (t *target) skip(what, why, hint string) {
	t.broken = append(t.broken, broken{skip: bailey.Skip{What: what, Why: why, Hint: hint}})
}

func (t *target) ignore(what, why string) {
	t.Ignored = append(t.Ignored, bailey.Skip{What: what, Why: why})
}

// build puts the results together: namespaces by the scope that a
// CustomResourceDefinition declares, one fact per object, and coverage.
func (c *collector) build(b *bailey.Builder, results []result) {
	scopes := map[bailey.Kind]bool{}
	facts := 0
	for i := range results {
		facts += len(results[i].facts)
		for _, f := range results[i].facts {
			if f.Kind == "CustomResourceDefinition.apiextensions.k8s.io" {
				addScope(scopes, f)
			}
		}
	}
	seen := make(map[bailey.Ref]given, facts)
	again := map[*target]*repeated{}
	ways := builds{}
	for i := range results {
		r, t := &results[i], c.inputs[i].target
		for _, f := range r.facts {
			if namespaced, declared := scopes[f.Kind]; declared {
				if _, known := object.Namespaced(f.Kind); !known && namespaced && f.Namespace == "" {
					moveTo(f, c.opts.Namespace)
				}
			}
			for n := 2; isGenerated(f) && seen[f.Ref].fact != nil; n++ {
				f.Name = fmt.Sprintf("%s%d", strings.TrimRight(f.Name, "0123456789"), n) // each creation makes another object
			}
			if f.Kind.Program() == "" {
				if earlier := seen[f.Ref]; earlier.fact != nil {
					if again[earlier.target] == nil {
						again[earlier.target] = &repeated{files: map[bailey.Ref][2]string{}}
					}
					again[earlier.target].note(earlier.fact, f)
					addVariants(f, earlier.fact)
				} else {
					t.Objects++
				}
				seen[f.Ref] = given{f, t}
				ways.note(f, c.inputs[i].build)
			}
			b.Add(f)
		}
		t.broken = append(t.broken, r.broken...)
		t.Ignored = append(t.Ignored, r.ignored...)
	}
	ways.tell()
	cover(b, c.opts.Complete)
	for i := range results {
		for _, f := range results[i].facts {
			missMade(b, f)
		}
	}
	for _, t := range c.targets {
		if r := again[t]; r != nil {
			t.report(r)
		}
		for _, lost := range t.broken {
			if !lost.quiet {
				t.Skipped = append(t.Skipped, lost.skip)
			}
			miss(b, lost, c.opts.Complete)
		}
		b.Meta().Targets = append(b.Meta().Targets, t.Target)
	}
}

// isGenerated reports whether the fact's name stands for one that the API
// server would make.
func isGenerated(f *bailey.Fact) bool {
	return strings.HasSuffix(strings.TrimRight(f.Name, "0123456789"), "*")
}

// given is the fact that counts so far for an object, and where it was read.
type given struct {
	fact   *bailey.Fact
	target *target
}

// repeated are the objects of a target that were given again later.
type repeated struct {
	same    int
	differs []bailey.Ref
	files   map[bailey.Ref][2]string // an earlier and a later one
}

// note adds that the later fact takes the place of the earlier one.
func (r *repeated) note(earlier, later *bailey.Fact) {
	if reflect.DeepEqual(earlier.Object, later.Object) {
		r.same++
		return
	}
	if _, known := r.files[later.Ref]; !known {
		r.differs = append(r.differs, later.Ref)
	}
	r.files[later.Ref] = [2]string{earlier.Source.File, later.Source.File}
}

// addVariants gives the fact what other contents the earlier one has or is, one of each
// content.
func addVariants(f, earlier *bailey.Fact) {
	for _, v := range append(earlier.Variants, earlier) {
		if !reflect.DeepEqual(v.Object, f.Object) && !slices.ContainsFunc(f.Variants, func(other *bailey.Fact) bool { return reflect.DeepEqual(v.Object, other.Object) }) {
			f.Variants = append(f.Variants, v)
		}
	}
	earlier.Variants = nil
}

// report says what was given more than once. An object given with several
// contents is judged with each, and what reads it with one of them only, so it was not
// seen whole.
func (t *target) report(r *repeated) {
	if r.same > 0 {
		t.ignore(t.Name, fmt.Sprintf("objects given again with the same content: %d", r.same))
	}
	for i, ref := range r.differs {
		files := r.files[ref]
		lost := broken{reason: bailey.ReasonAmbiguous, kind: ref.Kind, namespace: ref.Namespace, name: ref.Name, skip: bailey.Skip{
			What: files[0], Why: fmt.Sprintf("%s is given with another content in %s: both are judged, and what depends on it by the latter", ref, files[1]),
			Hint: "scan by itself what belongs to one cluster"}}
		lost.quiet = i > 0
		if i == 0 && len(r.differs) > 1 {
			first := lost
			first.skip.Why += fmt.Sprintf("; objects like it: %d more", len(r.differs)-1)
			lost = first
		}
		t.broken = append(t.broken, lost)
	}
}

// addScope notes whether the kind that a CustomResourceDefinition declares
// stands in namespaces.
func addScope(scopes map[bailey.Kind]bool, f *bailey.Fact) {
	definition, _ := bailey.As[map[string]any](f)
	spec, _ := definition["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	kind, _ := names["kind"].(string)
	group, _ := spec["group"].(string)
	scope, _ := spec["scope"].(string)
	if kind != "" && group != "" {
		scopes[bailey.KindOf(group+"/v1", kind)] = scope == "Namespaced"
	}
}
