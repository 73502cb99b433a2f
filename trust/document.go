package trust

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/baileyhq/bailey/derive/imageref"
)

// document is a policy as people write it.
type document struct {
	Version     int                 `yaml:"version"`
	Authorities []authorityDocument `yaml:"authorities"`
	Rules       []ruleDocument      `yaml:"rules"`
	Unmatched   string              `yaml:"unmatched"`
}

type authorityDocument struct {
	Name        string             `yaml:"name"`
	Keys        []string           `yaml:"keys"`
	CA          []string           `yaml:"ca"`
	TrustedRoot string             `yaml:"trustedRoot"`
	Identities  []identityDocument `yaml:"identities"`

	TransparencyLog         *int `yaml:"transparencyLog"`
	Timestamps              *int `yaml:"timestamps"`
	CertificateTransparency *int `yaml:"certificateTransparency"`
}

type identityDocument struct {
	Issuer        string `yaml:"issuer"`
	IssuerRegexp  string `yaml:"issuerRegexp"`
	Subject       string `yaml:"subject"`
	SubjectRegexp string `yaml:"subjectRegexp"`
}

type ruleDocument struct {
	Name         string         `yaml:"name"`
	Images       []string       `yaml:"images"`
	Namespaces   []string       `yaml:"namespaces"`
	Signature    *wantDocument  `yaml:"signature"`
	SBOM         *wantDocument  `yaml:"sbom"`
	Provenance   *wantDocument  `yaml:"provenance"`
	Attestations []wantDocument `yaml:"attestations"`
	Unsigned     bool           `yaml:"unsigned"`
}

type wantDocument struct {
	By         []string `yaml:"by"`
	Threshold  *int     `yaml:"threshold"`
	Types      []string `yaml:"types"`
	Builders   []string `yaml:"builders"`
	Sources    []string `yaml:"sources"`
	BuildTypes []string `yaml:"buildTypes"`
}

// decodePolicy reads the document strictly: an unknown or a repeated field is an error.
func decodePolicy(data []byte) (*document, error) {
	if len(data) > policyLimit {
		return nil, fmt.Errorf("a trust policy has at most %d KiB", policyLimit>>10)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	doc := &document{}
	err := d.Decode(doc)
	var wrong *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the trust policy is empty\nhint: docs/signing.md shows one")
	case errors.As(err, &wrong):
		return nil, fmt.Errorf("%s\nhint: docs/signing.md lists what a trust policy may say", strings.ReplaceAll(strings.Join(wrong.Errors, "; "), " in type trust.", " in a "))
	case err != nil:
		return nil, fmt.Errorf("it is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in it\nhint: a trust policy is one document")
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("it is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := checkNoneEmpty(&root); err != nil {
		return nil, err
	}
	if doc.Version != 1 {
		return nil, fmt.Errorf("version: %d is not known to this Bailey\nhint: write version: 1", doc.Version)
	}
	return doc, nil
}

// checkNoneEmpty refuses fields that are written and hold nothing: "namespaces: []" would
// mean all of them, and a demand without a value would be none.
func checkNoneEmpty(n *yaml.Node) error {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			field, value := n.Content[i], n.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			if value.Kind == yaml.SequenceNode && len(value.Content) == 0 || value.Kind == yaml.ScalarNode && value.Tag == "!!null" {
				return fmt.Errorf("line %d: %s: is written and empty\nhint: fill it, or leave it out where everything is meant", field.Line, field.Value)
			}
		}
	}
	for _, child := range n.Content {
		if err := checkNoneEmpty(child); err != nil {
			return err
		}
	}
	return nil
}

// policy resolves what the document names.
func (d *document) policy(read func(string) ([]byte, error)) (*Policy, error) {
	p := &Policy{}
	switch d.Unmatched {
	case "", "refuse":
	case "admit":
		p.admit = true
	default:
		return nil, fmt.Errorf("unmatched: %q is neither refuse nor admit", d.Unmatched)
	}
	if len(d.Rules) == 0 {
		return nil, errors.New("there is no rule in it\nhint: a rule names images and what they must bear")
	}
	if len(d.Rules) > listLimit || len(d.Authorities) > listLimit {
		return nil, fmt.Errorf("at most %d rules and authorities", listLimit)
	}
	authorities := map[string]*authority{}
	for i, a := range d.Authorities {
		where := fmt.Sprintf("authorities[%d] %s", i, a.Name)
		if err := checkName(a.Name); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if authorities[a.Name] != nil {
			return nil, fmt.Errorf("%s: another one bears this name", where)
		}
		resolved, err := a.authority(read)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		authorities[a.Name] = resolved
	}
	names := map[string]bool{}
	for i, r := range d.Rules {
		where := fmt.Sprintf("rules[%d] %s", i, r.Name)
		if err := checkName(r.Name); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("%s: another one bears this name", where)
		}
		names[r.Name] = true
		resolved, err := r.rule(authorities)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		p.rules = append(p.rules, resolved)
	}
	return p, nil
}

func checkName(name string) error {
	if name == "" || len(name) > 100 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("a name has 1 to 100 characters and no space")
	}
	return nil
}

func (d *ruleDocument) rule(authorities map[string]*authority) (*rule, error) {
	r := &rule{name: d.Name}
	if len(d.Images) == 0 {
		return nil, errors.New("it names no images\nhint: write images: [registry.example.com/shop/**]")
	}
	if len(d.Images) > listLimit || len(d.Namespaces) > listLimit || len(d.Attestations) > listLimit {
		return nil, fmt.Errorf("a list has at most %d entries", listLimit)
	}
	var err error
	images := make([]string, len(d.Images))
	for i, image := range d.Images {
		if images[i], err = canonicalImage(image); err != nil {
			return nil, err
		}
	}
	if r.images, err = globs("image", images); err != nil {
		return nil, err
	}
	if r.namespaces, err = globs("namespace", d.Namespaces); err != nil {
		return nil, err
	}
	add := func(kind Kind, w *wantDocument) error {
		if w == nil {
			return nil
		}
		resolved, err := w.want(kind, authorities)
		if err == nil {
			r.wants = append(r.wants, resolved)
			return nil
		}
		return fmt.Errorf("%s: %w", kind, err)
	}
	wanted := []struct {
		kind Kind
		want *wantDocument
	}{{KindSignature, d.Signature}, {KindSBOM, d.SBOM}, {KindProvenance, d.Provenance}}
	for i := range d.Attestations {
		wanted = append(wanted, struct {
			kind Kind
			want *wantDocument
		}{KindAttestation, &d.Attestations[i]})
	}
	for _, w := range wanted {
		if err := add(w.kind, w.want); err != nil {
			return nil, err
		}
	}
	// A rule from which the demands were lost by mistake would admit everything.
	if len(r.wants) == 0 && !d.Unsigned {
		return nil, errors.New("it wants nothing\nhint: add signature:, sbom:, provenance: or attestations:; write unsigned: true to admit these images as they are")
	}
	if len(r.wants) > 0 && d.Unsigned {
		return nil, errors.New("it says unsigned: true and wants evidence\nhint: leave one of them out")
	}
	return r, nil
}

// canonicalImage gives a pattern of images with its registry as imageref.Canonical has it.
// It refuses one that could never match: its images would fall under no rule.
func canonicalImage(image string) (string, error) {
	host, rest, found := strings.Cut(image, "/")
	anywhere := strings.HasPrefix(image, "**")
	if !anywhere && (!found || rest == "" || !strings.ContainsAny(host, ".:*") && host != "localhost") {
		return "", fmt.Errorf("image %q names no registry\nhint: write it with its registry, like docker.io/library/nginx or registry.example.com/shop/**", image)
	}
	if strings.ContainsAny(rest, "@:") {
		return "", fmt.Errorf("image %q holds a tag or a digest\nhint: rules are about repositories; leave it out", image)
	}
	// A star stands for what a name may hold at its place, such as a digit.
	ref, err := imageref.Parse(strings.ReplaceAll(image, "*", "0"))
	switch {
	case err != nil:
		return "", fmt.Errorf("image %q matches nothing: a reference like it %w", image, err)
	case ref.Tag != "" || ref.Digest != "":
		return "", fmt.Errorf("image %q holds a tag or a digest\nhint: rules are about repositories; leave it out", image)
	case !found:
		return image, nil
	}
	host = imageref.CanonicalRegistry(host)
	if strings.Contains(host, "*") && strings.HasSuffix(host, ".docker.io") {
		return "", fmt.Errorf("image %q matches nothing: the registry is called docker.io here, by whatever name it is asked\nhint: write docker.io/%s", image, rest)
	}
	if host == imageref.DefaultRegistry && !strings.Contains(rest, "/") && !strings.Contains(rest, "**") {
		rest = "library/" + rest // where its images without another folder are
	}
	return host + "/" + rest, nil
}

func (d *wantDocument) want(kind Kind, authorities map[string]*authority) (want, error) {
	w := want{kind: kind, threshold: 1}
	for _, list := range [][]string{d.By, d.Types, d.Builders, d.Sources, d.BuildTypes} {
		if len(list) > listLimit {
			return want{}, fmt.Errorf("a list has at most %d entries", listLimit)
		}
	}
	if len(d.By) == 0 {
		return want{}, errors.New("it does not say by whom\nhint: add by: [NAME] with the names of authorities")
	}
	seen := map[string]bool{}
	for _, name := range d.By {
		a := authorities[name]
		if a == nil {
			return want{}, fmt.Errorf("there is no authority %q", name)
		}
		if seen[name] {
			return want{}, fmt.Errorf("authority %q is named twice", name)
		}
		seen[name] = true
		w.by = append(w.by, a)
	}
	if d.Threshold != nil {
		w.threshold = *d.Threshold
	}
	if w.threshold < 1 || w.threshold > len(w.by) {
		return want{}, fmt.Errorf("threshold: %d of %d authorities is not possible", w.threshold, len(w.by))
	}
	if kind != KindProvenance && len(d.Builders)+len(d.Sources)+len(d.BuildTypes) > 0 {
		return want{}, errors.New("builders, sources and buildTypes are conditions of provenance")
	}
	if err := w.setTypes(d.Types); err != nil {
		return want{}, err
	}
	var err error
	if w.builders, err = globs("builder", d.Builders); err != nil {
		return want{}, err
	}
	if w.sources, err = globs("source", d.Sources); err != nil {
		return want{}, err
	}
	w.buildType, err = globs("buildType", d.BuildTypes)
	return w, err
}

// setTypes takes the predicate types that count, by short name or URI.
func (w *want) setTypes(types []string) error {
	defaults, allowed := w.kind.types()
	switch {
	case w.kind == KindSignature && len(types) > 0:
		return errors.New("a signature has no types")
	case w.kind == KindAttestation && len(types) == 0:
		return errors.New("it names no types\nhint: add types: [URI]")
	case len(types) == 0:
		types = defaults
	}
	for _, t := range types {
		uri, err := PredicateType(t)
		if err != nil {
			return err
		}
		if allowed != nil && !contains(allowed, uri) {
			return fmt.Errorf("type %q is none of %s\nhint: put it under attestations: instead", t, strings.Join(defaults, ", "))
		}
		w.types = append(w.types, uri)
	}
	return nil
}
