package release

import (
	"encoding/json"
	"runtime/debug"
)

// The types that the predicate names.
const (
	buildType = "https://" + modulePath + "/make-image/v1"
	// Builder is who built when nobody is named: whoever ran make.
	Builder = "https://" + modulePath + "/local-build"
)

// material is in-toto's ResourceDescriptor.
type material struct {
	URI    string            `json:"uri"`
	Digest map[string]string `json:"digest,omitempty"`
	Name   string            `json:"name,omitempty"`
}

// Provenance is the predicate of SLSA v1 provenance (https://slsa.dev/provenance/v1) of what is
// made of the program: from which commit, with which toolchain and settings, and of which
// modules. `bailey attest` puts it into a signed statement. builder is the URI of who built.
func Provenance(p *Program, builder string) ([]byte, error) {
	source := material{URI: "git+https://" + modulePath}
	if p.Revision != "" {
		source.URI += "@" + p.Revision
		source.Digest = map[string]string{"gitCommit": p.Revision}
	}
	materials := []material{source}
	for _, m := range p.Build.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		materials = append(materials, moduleMaterial(m))
	}
	settings := map[string]string{"go": p.Build.GoVersion}
	for _, key := range []string{"-ldflags", "-trimpath", "-tags", "CGO_ENABLED", "GOOS", "GOARCH", "GOAMD64", "GOARM64"} {
		if value := p.setting(key); value != "" {
			settings[key] = value
		}
	}
	predicate := map[string]any{
		"buildDefinition": map[string]any{
			"buildType":            buildType,
			"externalParameters":   map[string]any{"source": source.URI, "version": p.Version, "target": "image"},
			"internalParameters":   map[string]any{"settings": settings, "modified": p.Modified, "programSHA256": p.Digest},
			"resolvedDependencies": materials,
		},
		"runDetails": map[string]any{
			"builder": map[string]any{"id": builder, "version": map[string]string{"go": p.Build.GoVersion}},
		},
	}
	return json.MarshalIndent(predicate, "", "  ")
}

func moduleMaterial(m *debug.Module) material {
	d := material{URI: "pkg:golang/" + m.Path + "@" + m.Version, Name: m.Path}
	if m.Sum != "" {
		d.Digest = map[string]string{"dirHash": m.Sum}
	}
	return d
}
