package release

import (
	"encoding/base64"
	"encoding/hex"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// SBOM writes the program's bill of materials as CycloneDX JSON: the modules that are linked into
// it, and the standard library.
func SBOM(w io.Writer, p *Program) error {
	main := component(&debug.Module{Path: modulePath, Version: p.Version}, cyclonedx.ComponentTypeApplication)
	main.Hashes = &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: p.Digest}}
	components := []cyclonedx.Component{component(&debug.Module{Path: "std", Version: strings.TrimPrefix(p.Build.GoVersion, "go")}, cyclonedx.ComponentTypeLibrary)}
	for _, m := range p.Build.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		components = append(components, component(m, cyclonedx.ComponentTypeLibrary))
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	refs := make([]string, len(components))
	for i := range components {
		refs[i] = components[i].BOMRef
	}
	bom := cyclonedx.NewBOM()
	// From the program's digest, so that it is the same whenever it is made.
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceOID, []byte(p.Digest)).String()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: p.Time.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &refs}}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

func component(m *debug.Module, kind cyclonedx.ComponentType) cyclonedx.Component {
	purl := "pkg:golang/" + m.Path
	if m.Version != "" {
		purl += "@" + m.Version
	}
	c := cyclonedx.Component{BOMRef: purl, Type: kind, Name: m.Path, Version: m.Version, PackageURL: purl}
	// The checksum of go.sum is a SHA-256 of the module's file hashes.
	if sum, found := strings.CutPrefix(m.Sum, "h1:"); found {
		if raw, err := base64.StdEncoding.DecodeString(sum); err == nil {
			c.Properties = &[]cyclonedx.Property{{Name: "go:sum:h1", Value: hex.EncodeToString(raw)}}
		}
	}
	return c
}
