package bailey

import "strings"

// Class is what a collector keeps of a value that may be confidential: what
// it looks like, and nothing of the value itself.
type Class string

const (
	ClassEmpty       Class = "empty"
	ClassBoolean     Class = "boolean"
	ClassNumber      Class = "number"      // also sizes, durations and versions
	ClassReference   Class = "reference"   // $(NAME), ${NAME}, a template
	ClassPath        Class = "path"        // a file path
	ClassURL         Class = "url"         // a URL or host:port without credentials
	ClassWord        Class = "word"        // one short identifier (production, eu-west-1)
	ClassText        Class = "text"        // anything else that looks harmless
	ClassPlaceholder Class = "placeholder" // changeme, <password>, xxx
	ClassOpaque      Class = "opaque"      // long and random-looking, of no known form
	ClassHash        Class = "hash"        // a digest, a UUID or a password hash
	ClassPublicKey   Class = "public-key"  // a certificate or a public key

	// What follows is a credential by its form alone.
	ClassPrivateKey    Class = "private-key"
	ClassToken         Class = "token"          // a JWT or a provider's token with a checkable form
	ClassURLCredential Class = "url-credential" // scheme://user:password@host
	ClassPassword      Class = "password"       // a value that its own text calls a password (password=...)
)

// IsCredential reports whether a value of the class is a credential by its
// form alone, whatever its name.
func (c Class) IsCredential() bool {
	switch c {
	case ClassPrivateKey, ClassToken, ClassURLCredential, ClassPassword:
		return true
	}
	return false
}

const redactOpen, redactClose = "‹bailey:", "›"

// Redact gives the text that stands for a value of the class in a fact.
func Redact(c Class) string { return redactOpen + string(c) + redactClose }

// HoldsRedacted reports whether a class stands in the place of the text or of a part of it.
func HoldsRedacted(text string) bool { return strings.Contains(text, redactOpen) }

// ClassOf gives the class that stands in the text, and whether the text was
// classified at all. An empty text is ClassEmpty.
func ClassOf(text string) (Class, bool) {
	if text == "" {
		return ClassEmpty, true
	}
	rest, found := strings.CutPrefix(text, redactOpen)
	if !found {
		return "", false
	}
	class, found := strings.CutSuffix(rest, redactClose)
	return Class(class), found
}
