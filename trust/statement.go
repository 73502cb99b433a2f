package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
)

// Kind is what a piece of evidence says.
type Kind string

// The kinds of evidence.
const (
	KindSignature   Kind = "signature"   // somebody vouches for the artifact
	KindSBOM        Kind = "sbom"        // what is in it
	KindProvenance  Kind = "provenance"  // how it was built (SLSA)
	KindAttestation Kind = "attestation" // anything else that was attested
)

// The predicate types of in-toto statements that have a short name, as cosign spells them.
const (
	PredicateSignature    = "https://sigstore.dev/cosign/sign/v1"
	predicateProvenance1  = "https://slsa.dev/provenance/v1"
	predicateProvenance02 = "https://slsa.dev/provenance/v0.2"
	predicateSPDX         = "https://spdx.dev/Document"
	predicateCycloneDX    = "https://cyclonedx.org/bom"
)

var predicateNames = map[string]string{
	"slsaprovenance1":  predicateProvenance1,
	"slsaprovenance02": predicateProvenance02,
	"slsaprovenance":   predicateProvenance02,
	"spdxjson":         predicateSPDX,
	"spdx":             predicateSPDX,
	"cyclonedx":        predicateCycloneDX,
	"vuln":             "https://cosign.sigstore.dev/attestation/vuln/v1",
	"openvex":          "https://openvex.dev/ns",
	"link":             "https://in-toto.io/Link/v1",
}

// PredicateType gives the URI of a predicate type by its short name; a URI is itself.
func PredicateType(name string) (string, error) {
	if uri, ok := predicateNames[name]; ok {
		return uri, nil
	}
	if u, err := url.Parse(name); err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || len(name) > patternLimit {
		names := make([]string, 0, len(predicateNames))
		for n := range predicateNames {
			names = append(names, n)
		}
		sort.Strings(names)
		return "", fmt.Errorf("%q is no predicate type\nhint: use a URI, or one of %s", name, strings.Join(names, ", "))
	}
	return name, nil
}

// types gives the short names that a kind has if none are asked for, and the URIs that
// it may have (nil: any).
func (k Kind) types() (defaults, allowed []string) {
	switch k {
	case KindSBOM:
		return []string{"spdxjson", "cyclonedx"}, []string{predicateSPDX, predicateCycloneDX}
	case KindProvenance:
		return []string{"slsaprovenance1", "slsaprovenance02"}, []string{predicateProvenance1, predicateProvenance02}
	}
	return nil, nil
}

// kindOf is the kind of a statement by its predicate type.
func kindOf(predicateType string) Kind {
	switch {
	case predicateType == PredicateSignature:
		return KindSignature
	case isType(predicateType, predicateSPDX), isType(predicateType, predicateCycloneDX):
		return KindSBOM
	case predicateType == predicateProvenance1, predicateType == predicateProvenance02:
		return KindProvenance
	}
	return KindAttestation
}

// isType reports whether a predicate type is the wanted one, or a version of it
// (https://spdx.dev/Document/v2.3).
func isType(got, wanted string) bool {
	rest, ok := strings.CutPrefix(got, wanted)
	return ok && (rest == "" || strings.HasPrefix(rest, "/v"))
}

func contains(list []string, text string) bool { return slices.Contains(list, text) }

// statementTypes are the versions of in-toto's statement that are known here.
var statementTypes = []string{"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}

// statement is what this package reads of an in-toto statement.
type statement struct {
	Type    string `json:"_type"`
	Subject []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

func parseStatement(payload []byte) (*statement, error) {
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, fmt.Errorf("its payload is no in-toto statement: %w", err)
	}
	if !contains(statementTypes, s.Type) {
		return nil, fmt.Errorf("its payload is of type %q, not an in-toto statement of a known version", s.Type)
	}
	if s.PredicateType == "" {
		return nil, errors.New("its statement has no predicate type")
	}
	if len(s.Subject) == 0 {
		return nil, errors.New("its statement is about nothing")
	}
	return &s, nil
}

// provenance is what conditions are about, of SLSA provenance 1.0 and 0.2.
type provenance struct {
	builder   string
	buildType string
	// source is the repository that was built: with its ref behind an @, where the
	// provenance names one.
	source string
}

func parseProvenance(predicateType string, predicate []byte) (provenance, error) {
	if predicateType == predicateProvenance02 {
		return parseProvenance02(predicate)
	}
	var p struct {
		BuildDefinition struct {
			BuildType          string         `json:"buildType"`
			ExternalParameters map[string]any `json:"externalParameters"`
			Resolved           []struct {
				URI string `json:"uri"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(predicate, &p); err != nil {
		return provenance{}, fmt.Errorf("its provenance cannot be read: %w", err)
	}
	out := provenance{builder: p.RunDetails.Builder.ID, buildType: p.BuildDefinition.BuildType}
	out.source = sourceOf(p.BuildDefinition.ExternalParameters)
	if out.source == "" && len(p.BuildDefinition.Resolved) > 0 {
		out.source = p.BuildDefinition.Resolved[0].URI
	}
	out.source = normalSource(out.source)
	return out, nil
}

func parseProvenance02(predicate []byte) (provenance, error) {
	var p struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		BuildType  string `json:"buildType"`
		Invocation struct {
			ConfigSource struct {
				URI string `json:"uri"`
			} `json:"configSource"`
		} `json:"invocation"`
		Materials []struct {
			URI string `json:"uri"`
		} `json:"materials"`
	}
	if err := json.Unmarshal(predicate, &p); err != nil {
		return provenance{}, fmt.Errorf("its provenance cannot be read: %w", err)
	}
	out := provenance{builder: p.Builder.ID, buildType: p.BuildType, source: p.Invocation.ConfigSource.URI}
	if out.source == "" && len(p.Materials) > 0 {
		out.source = p.Materials[0].URI
	}
	out.source = normalSource(out.source)
	return out, nil
}

// sourceOf finds the source repository among the external parameters, in the places
// where the build types of GitHub, GitLab, Tekton and Google Cloud Build put it.
func sourceOf(parameters map[string]any) string {
	text := func(v any, keys ...string) string {
		for _, key := range keys {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		s, _ := v.(string)
		return s
	}
	if repository := text(parameters, "workflow", "repository"); repository != "" {
		if ref := text(parameters, "workflow", "ref"); ref != "" {
			return repository + "@" + ref
		}
		return repository
	}
	for _, keys := range [][]string{{"source", "uri"}, {"source", "repository"}, {"configSource", "uri"}, {"configSource", "repository"}, {"source"}, {"repository"}} {
		if s := text(parameters, keys...); s != "" {
			return s
		}
	}
	return ""
}

// normalSource takes off what is the same for every git repository.
func normalSource(source string) string {
	source = strings.TrimPrefix(source, "git+")
	repository, ref, found := strings.Cut(source, "@refs/")
	repository = strings.TrimSuffix(repository, ".git")
	if found {
		return repository + "@refs/" + ref
	}
	return repository
}

// unmet says which condition of the wanted provenance is not met; "" if all are.
func (w *want) unmet(p provenance) string {
	for _, c := range []struct {
		what     string
		patterns []pattern
		got      string
	}{{"builder", w.builders, p.builder}, {"source", w.sources, p.source}, {"build type", w.buildType, p.buildType}} {
		if anyMatch(c.patterns, c.got) {
			continue
		}
		// A source pattern without a ref is about any ref.
		if repository, _, found := strings.Cut(c.got, "@refs/"); c.what == "source" && found && anyMatch(c.patterns, repository) {
			continue
		}
		got := fmt.Sprintf("is %q", c.got)
		if c.got == "" {
			got = "is not named"
		}
		return fmt.Sprintf("its %s %s, and the policy wants %s", c.what, got, patternTexts(c.patterns))
	}
	return ""
}
