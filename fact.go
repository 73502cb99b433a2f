package bailey

import "slices"

// Fact is one object as it was seen: a Kubernetes object, a component's
// settings, an image. Facts are shared and must never be changed.
type Fact struct {
	Ref
	// APIVersion is the version that the object was read in ("apps/v1").
	APIVersion string
	// UID is the API server's; empty for what was read from a file.
	UID    string
	Labels map[string]string
	// Owner is the controller that made the object, with its UID; zero if none.
	Owner    Ref
	OwnerUID string
	// Object holds the content: a pointer to the k8s.io/api type, map[string]any
	// for a custom resource, or a pointer to a type of this package. It holds no
	// secret: collectors put a class (see Redact) in the place of each value.
	Object any
	// Dormant tells a workload that does not run and is kept as history: an old
	// revision of a Deployment, a pod that ended. Rules do not judge it.
	Dormant bool
	// Builds names the kustomizations, charts and plain files ("") that give the object,
	// where a folder holds several that give the same workload: they are meant to be
	// applied one at a time. Nil elsewhere.
	Builds []string
	// Variants are what other files give for the same object with another content. Rules
	// judge each for itself; what they read of other objects are never variants.
	Variants []*Fact
	Source   Source
}

// LacksIn names a build that gives the fact and not the other, where another build gives
// both: there the two are not together. It reports whether there is one.
func (f *Fact) LacksIn(other *Fact) (build string, lacks bool) {
	together := false
	for _, b := range f.Builds {
		if slices.Contains(other.Builds, b) {
			together = true
		} else if !lacks {
			build, lacks = b, true
		}
	}
	return build, together && lacks
}

// Source says where a fact was read.
type Source struct {
	// File is the path as the user gave it, or the template of a chart; empty
	// for a live cluster.
	File string
	// Line and Column count from 1; 0 means not known.
	Line, Column int
	// Locate gives the position of a field ("spec.containers[0].image"), or of
	// the nearest parent that is written down. Nil where positions are unknown.
	Locate func(field string) (line, column int)
	// Rendered says what made the object out of what is in File: nil where the object
	// itself is written there.
	Rendered *Rendering
}

// Rendering is what makes objects out of files.
type Rendering struct {
	Medium string // chart or kustomization
	// Path is the chart's folder or archive, or the folder that was built.
	Path string
}

// At gives the source with the position of the field.
func (s Source) At(field string) Source {
	if s.Locate != nil {
		if line, column := s.Locate(field); line > 0 {
			s.Line, s.Column = line, column
		}
	}
	return s
}

// As gives the fact's content as a T, and whether it is one.
func As[T any](f *Fact) (T, bool) {
	if f == nil {
		var zero T
		return zero, false
	}
	t, ok := f.Object.(T)
	return t, ok
}

// Component is a running part of the platform (its kind says which) with the
// settings that it was started with. A setting that looks like a secret is not kept.
type Component struct {
	Node string `json:"node,omitempty"`
	// Version is the component's own ("v1.37.2"); empty if it was not seen.
	Version string `json:"version,omitempty"`
	// Within names the program that runs the component within itself (k3s, rke2); empty for none.
	Within string `json:"within,omitempty"`
	// Flags are the command-line flags, without dashes. A flag without a value
	// holds "true".
	Flags map[string]string `json:"flags,omitempty"`
	// Config is the component's configuration document (kubelet configz, or the
	// file that --config names).
	Config map[string]any `json:"config,omitempty"`
	// Answered tells that Config is what the component itself answered, with its flags and
	// defaults in it, and not what it was told.
	Answered bool `json:"answered,omitempty"`
	// Files are the documents that flags name, by flag ("encryption-provider-config"),
	// where they were read; secrets in them are classes.
	Files map[string]map[string]any `json:"files,omitempty"`
}
