// Package redact keeps confidential values out of facts: it says what a value
// looks like, and puts that in the value's place.
//
// The detector is made to be right when it calls something a credential: each
// credential class stands for a form that can be checked (a PEM header, a
// token's prefix, alphabet and length, a URL's userinfo, a setting that is
// named password). What merely looks random is opaque, and a rule decides by
// its name.
package redact

import (
	"strings"

	"github.com/baileyhq/bailey"
)

// Limit is how many bytes of a value are looked at. What follows in a longer
// value is replaced with the rest of it, but does not take part in its class.
const Limit = 64 << 10

// Classify says what a value looks like. It runs in time linear in the value's
// length, of which it reads at most Limit bytes. A text that holds a credential
// anywhere has the credential's class. A text that Value made keeps its class.
func Classify(value string) bailey.Class {
	if class, found := classified(value); found {
		return class
	}
	if len(value) > Limit {
		value = value[:Limit]
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return bailey.ClassEmpty
	}
	if class := simple(value); class != "" {
		return class
	}
	if class := credential(value); class != "" {
		return class
	}
	return shape(value)
}

// Value gives the text that stands for the value in a fact: its class. An empty
// value stays empty.
func Value(value string) string {
	if value == "" {
		return ""
	}
	return text(Classify(value))
}

// Credential replaces a value that is a credential by its form, and gives any
// other back.
func Credential(value string) string {
	if len(value) < 6 {
		return value // shorter than any form
	}
	if class := Classify(value); class.IsCredential() {
		return text(class)
	}
	return value
}

// text is bailey.Redact without an allocation for each value.
func text(class bailey.Class) string {
	switch class {
	case bailey.ClassEmpty:
		return emptyText
	case bailey.ClassBoolean:
		return booleanText
	case bailey.ClassNumber:
		return numberText
	case bailey.ClassReference:
		return referenceText
	case bailey.ClassPath:
		return pathText
	case bailey.ClassURL:
		return urlText
	case bailey.ClassWord:
		return wordText
	case bailey.ClassText:
		return textText
	case bailey.ClassOpaque:
		return opaqueText
	}
	return bailey.Redact(class)
}

var (
	emptyText     = bailey.Redact(bailey.ClassEmpty)
	booleanText   = bailey.Redact(bailey.ClassBoolean)
	numberText    = bailey.Redact(bailey.ClassNumber)
	referenceText = bailey.Redact(bailey.ClassReference)
	pathText      = bailey.Redact(bailey.ClassPath)
	urlText       = bailey.Redact(bailey.ClassURL)
	wordText      = bailey.Redact(bailey.ClassWord)
	textText      = bailey.Redact(bailey.ClassText)
	opaqueText    = bailey.Redact(bailey.ClassOpaque)
)

// classified gives the class of a text that already stands for a value. Only
// the known classes count, so that no value passes by looking like one.
func classified(value string) (bailey.Class, bool) {
	if len(value) == 0 || value[0] != emptyText[0] || len(value) > 64 {
		return "", false
	}
	class, found := bailey.ClassOf(value)
	if !found {
		return "", false
	}
	switch class {
	case bailey.ClassEmpty, bailey.ClassBoolean, bailey.ClassNumber, bailey.ClassReference, bailey.ClassPath,
		bailey.ClassURL, bailey.ClassWord, bailey.ClassText, bailey.ClassPlaceholder, bailey.ClassOpaque,
		bailey.ClassHash, bailey.ClassPublicKey, bailey.ClassPrivateKey, bailey.ClassToken,
		bailey.ClassURLCredential, bailey.ClassPassword:
		return class, true
	}
	return "", false
}

// simple decides the short plain values that most settings are, and gives ""
// for all that needs a closer look.
func simple(s string) bailey.Class {
	if len(s) > 15 {
		return "" // tokens and keys are longer
	}
	digits, letters, dots := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			letters++
		case c == '.':
			dots++
		case c == '-' || c == '_':
		default:
			return ""
		}
	}
	switch {
	case isBoolean(s):
		return bailey.ClassBoolean
	case digits > 0 && isNumber(s):
		return bailey.ClassNumber
	case isPlaceholder(s):
		return bailey.ClassPlaceholder
	case letters > 0 && dots == 0:
		return bailey.ClassWord
	}
	return ""
}

// credential gives the credential class of a text that is, or holds, one.
func credential(s string) bailey.Class {
	switch {
	case holdsPrivateKey(s):
		return bailey.ClassPrivateKey
	case holdsToken(s):
		return bailey.ClassToken
	case holdsURLCredential(s):
		return bailey.ClassURLCredential
	case holdsPassword(s):
		return bailey.ClassPassword
	}
	return ""
}
