// Package imageref reads the names by which container images are asked for:
// "registry.example.com:5000/team/app:1.4@sha256:…".
package imageref

import (
	"errors"
	"strings"
)

// DefaultRegistry is the registry of a reference that names none.
const DefaultRegistry = "docker.io"

// DefaultTag is the tag of a reference that gives neither tag nor digest.
const DefaultTag = "latest"

// Ref is a parsed reference. Its fields are parts of the text that was parsed.
type Ref struct {
	// Registry is the host, with its port if one is written; DefaultRegistry
	// where none is.
	Registry string
	// Repository is the path in the registry, as it is written.
	Repository string
	// Tag and Digest are empty where they are not written. Digest holds the
	// algorithm too: "sha256:…".
	Tag, Digest string
}

// What Parse finds wrong. The texts complete "the reference …".
var (
	ErrEmpty      = errors.New("is empty")
	ErrTooLong    = errors.New("is longer than a reference may be")
	ErrRegistry   = errors.New("has a registry that is no host name or address")
	ErrRepository = errors.New("has a repository name with characters or separators that are not allowed")
	ErrUpperCase  = errors.New("has a repository name with upper-case letters")
	ErrTag        = errors.New("has a tag that is not one")
	ErrDigest     = errors.New("has a digest that is not one")
	ErrIdentifier = errors.New("is a bare image ID, which no registry serves")
)

const (
	maxReference  = 4096 // no part of the grammar needs more
	maxRepository = 255
	maxTag        = 128
)

// Parse reads a reference by the grammar of the OCI distribution specification
// and the defaults that container runtimes share. It allocates nothing.
func Parse(text string) (Ref, error) {
	var r Ref
	if text == "" {
		return r, ErrEmpty
	}
	if len(text) > maxReference {
		return r, ErrTooLong
	}
	if len(text) == 64 && isHex(text) {
		return r, ErrIdentifier
	}
	name := text
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name, r.Digest = name[:i], name[i+1:]
		if !validDigest(r.Digest) {
			return Ref{}, ErrDigest
		}
	}
	// A colon after the last slash begins a tag; one before it, a port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, r.Tag = name[:i], name[i+1:]
		if !validTag(r.Tag) {
			return Ref{}, ErrTag
		}
	}
	r.Registry, r.Repository = split(name)
	if !validRegistry(r.Registry) {
		return Ref{}, ErrRegistry
	}
	if err := checkRepository(r.Repository); err != nil {
		return Ref{}, err
	}
	return r, nil
}

// Pinned reports whether the reference names its content by a digest.
func (r Ref) Pinned() bool { return r.Digest != "" }

// Latest reports whether the reference asks for whatever is newest: its tag is
// "latest", or it has neither tag nor digest.
func (r Ref) Latest() bool { return r.Digest == "" && (r.Tag == "" || r.Tag == DefaultTag) }

// Name is registry and repository in full, as runtimes write them:
// "docker.io/library/nginx".
func (r Ref) Name() string {
	if r.Registry == DefaultRegistry && !strings.Contains(r.Repository, "/") {
		return r.Registry + "/library/" + r.Repository
	}
	return r.Registry + "/" + r.Repository
}

// Full is the reference in full: its name, and the digest if it has one, else the tag or
// what stands for it. Two references with one content at every moment have the same.
func (r Ref) Full() string {
	switch {
	case r.Digest != "":
		return r.Name() + "@" + r.Digest
	case r.Tag != "":
		return r.Name() + ":" + r.Tag
	}
	return r.Name() + ":" + DefaultTag
}

// Canonical is the reference with its registry as policies name it: by CanonicalRegistry.
// Another spelling of one registry would fall under no rule.
func (r Ref) Canonical() Ref {
	r.Registry = CanonicalRegistry(r.Registry)
	return r
}

// CanonicalRegistry is the one spelling of a registry's host: in lower case, without the
// port of HTTPS, and DefaultRegistry by whatever of its names it is asked.
func CanonicalRegistry(host string) string {
	host = strings.ToLower(host)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		switch port := strings.TrimLeft(host[i+1:], "0"); port {
		case "443":
			host = host[:i]
		default:
			host = host[:i+1] + port
		}
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return DefaultRegistry
	}
	return host
}

// FullName is registry and repository in full of any text by which a runtime may be
// asked for an image, a valid reference or not: what compares names must have one for
// every text. Of a valid reference it is Ref.Name.
func FullName(text string) string {
	name, _, _ := strings.Cut(text, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	registry, repository := split(name)
	return Ref{Registry: registry, Repository: repository}.Name()
}

// split parts the registry from the repository. A first component is a
// registry only if it can be no repository's: it has a dot, a port or an
// upper-case letter, or is "localhost".
func split(name string) (registry, repository string) {
	first, rest, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" && !hasUpper(first) {
		return DefaultRegistry, name
	}
	if first == "index.docker.io" {
		first = DefaultRegistry
	}
	return first, rest
}

func validRegistry(host string) bool {
	rest, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		address, port, closed := strings.Cut(rest, "]")
		if !closed || address == "" {
			return false
		}
		for i := range len(address) {
			if c := address[i]; c != ':' && !isHexDigit(c) {
				return false
			}
		}
		return port == "" || port[0] == ':' && isDigits(port[1:])
	}
	host, port, hasPort := strings.Cut(host, ":")
	if hasPort && !isDigits(port) {
		return false
	}
	for more := true; more; {
		var label string
		label, host, more = strings.Cut(host, ".")
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isLower(c) && !isUpper(c) && !isDigit(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// checkRepository wants components of lower-case letters and digits, between
// which stand one dot, one or two underscores, or any number of hyphens.
func checkRepository(path string) error {
	if path == "" || len(path) > maxRepository {
		return ErrRepository
	}
	if hasUpper(path) {
		return ErrUpperCase
	}
	separator := 0 // where the run of separators before i began, plus one
	for i := range len(path) {
		c := path[i]
		if isLower(c) || isDigit(c) {
			if separator > 0 && !validSeparator(path[separator-1:i]) {
				return ErrRepository
			}
			separator = 0
			continue
		}
		if separator == 0 {
			separator = i + 1
		}
	}
	if separator > 0 || !isLower(path[0]) && !isDigit(path[0]) {
		return ErrRepository
	}
	return nil
}

func validSeparator(s string) bool {
	switch s {
	case "/", ".", "_", "__":
		return true
	}
	return strings.Trim(s, "-") == ""
}

func validTag(tag string) bool {
	if tag == "" || len(tag) > maxTag || tag[0] == '.' || tag[0] == '-' {
		return false
	}
	for i := range len(tag) {
		if c := tag[i]; !isLower(c) && !isUpper(c) && !isDigit(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// validDigest takes the algorithms that the image specification registers.
func validDigest(digest string) bool {
	algorithm, encoded, found := strings.Cut(digest, ":")
	if !found || !isHex(encoded) {
		return false
	}
	switch algorithm {
	case "sha256":
		return len(encoded) == 64
	case "sha384":
		return len(encoded) == 96
	case "sha512":
		return len(encoded) == 128
	}
	return false
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if isUpper(s[i]) {
			return true
		}
	}
	return false
}

func isHexDigit(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
