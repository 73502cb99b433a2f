package develop

import (
	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
)

// Fuzzing asks for automated fuzzing where justified.
var Fuzzing = &bailey.Control{
	ID:   "develop/fuzzing",
	Asks: "code at trust boundaries is fuzzed automatically where that is justified",
	Doc: `Parsers that read strangers' bytes fail in ways that nobody thinks of when writing tests.

Bailey judges a repository by its fuzz targets (Go, cargo-fuzz and OSS-Fuzz layouts) and by the parsers
and handlers at trust boundaries that no target reaches.

Enforced by bailey fuzz: it runs the targets for a budget of time, keeps their corpus and crashers, and
fails on a new crash.

Proved with a crasher planted in a scratch copy, which the project's own fuzz job must find.`,
	Scope: bailey.ScopeRepository,
	Refs: []bailey.Reference{
		ref.CNCF(294, "Security tests run by themselves"),
		ref.CNCF(288, "Running software is tested for its security"),
		ref.CNCF(261, "Code that matters to the business has tests"),
		ref.NIST("SA-11(8)"),
		ref.NIST("SA-11"),
		ref.NIST("SI-10"),
	},
}
