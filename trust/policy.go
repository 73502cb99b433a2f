// Package trust decides whether an artifact is what somebody trusted made: by sigstore
// bundles, cosign's older signatures and in-toto attestations, and by one policy that
// says who may sign what, for which namespaces, with which evidence.
//
// Everything here is a function of what it is given: the policy with the files that it
// names, the bundles that were fetched, and the time. Package registry fetches, package
// sign makes signatures.
package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The bounds of a policy.
const (
	// policyLimit bounds a policy and each file that it names, in bytes.
	policyLimit = 1 << 20
	// listLimit bounds every list of a policy.
	listLimit = 1000
)

// Policy is a trust policy that was read and found whole. It is immutable.
type Policy struct {
	rules    []*rule
	admit    bool // images that no rule names
	revision string
}

// rule is what a policy wants of the images that it names.
type rule struct {
	name       string
	images     []pattern
	namespaces []pattern // none: all
	wants      []want
}

// want is one piece of evidence that must be there.
type want struct {
	kind      Kind
	by        []*authority
	threshold int      // of different authorities, each by another signer
	types     []string // predicate types; none for a signature
	builders  []pattern
	sources   []pattern
	buildType []pattern
}

// Load reads a policy file and the files that it names, relative to it.
func Load(path string) (*Policy, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return readFile(name)
	})
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, policyLimit+1))
	if err != nil {
		return nil, err
	}
	if len(data) > policyLimit {
		return nil, fmt.Errorf("%s is larger than %d KiB", path, policyLimit>>10)
	}
	return data, nil
}

// Parse reads a policy in YAML or JSON. The name is for errors; read gives the content
// of the files that the policy names.
func Parse(name string, data []byte, read func(name string) ([]byte, error)) (*Policy, error) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d\n%s", len(data), data)
	doc, err := decodePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p, err := doc.policy(func(file string) ([]byte, error) {
		content, err := read(file)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(hash, "%d\n%s%d\n%s", len(file), file, len(content), content)
		return content, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.revision = hex.EncodeToString(hash.Sum(nil))
	return p, nil
}

// Revision is the SHA-256, in hex, of the policy and of every file that it names: what
// was decided under one revision says nothing about another.
func (p *Policy) Revision() string { return p.revision }

// For gives what the policy wants of an image in a namespace. The repository is in its
// normal form (registry.example.com/shop/web, docker.io/library/nginx); without a
// namespace only rules for all namespaces apply.
func (p *Policy) For(namespace, repository string) Requirements {
	r := Requirements{admit: p.admit, repository: repository}
	for _, rule := range p.rules {
		matches := func(patterns []pattern, text string) bool {
			return slices.ContainsFunc(patterns, func(p pattern) bool { return p.match(text) })
		}
		if matches(rule.images, repository) && (len(rule.namespaces) == 0 || matches(rule.namespaces, namespace)) {
			r.rules = append(r.rules, rule)
		}
	}
	return r
}

// Requirements are the rules of a policy that one image in one namespace falls under.
// Each of them must hold: one more rule can only make a policy stricter.
type Requirements struct {
	rules      []*rule
	admit      bool
	repository string
}

// Names gives the rules' names, in the policy's order.
func (r Requirements) Names() []string {
	names := make([]string, 0, len(r.rules))
	for _, rule := range r.rules {
		names = append(names, rule.name)
	}
	return names
}

// Key is the same for the same rules of one policy.
func (r Requirements) Key() string { return strings.Join(r.Names(), "\n") }

// Named reports whether a rule names the image.
func (r Requirements) Named() bool { return len(r.rules) > 0 }

// Empty reports whether nothing is wanted that would have to be fetched.
func (r Requirements) Empty() bool {
	return !slices.ContainsFunc(r.rules, func(rule *rule) bool { return len(rule.wants) > 0 })
}
