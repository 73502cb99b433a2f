package prove

import "regexp"

// secretForms are what must never stand in a record: JSON Web Tokens, PEM keys and
// bearer headers. Credentials enter steps by ${name} only, and plans are recorded
// unexpanded, so that this is a second net for what a server echoes.
var secretForms = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*` +
	`|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?` +
	`|(?i:bearer) [A-Za-z0-9._~+/-]{8,}=*`)

// cutSecrets takes credentials out of a text.
func cutSecrets(text string) string { return secretForms.ReplaceAllString(text, "(cut)") }
