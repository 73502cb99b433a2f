package object

import (
	"maps"
	"testing"
)

// TestFlagSpellings: components take "_" for "-", and on and off in several spellings; a number
// stays a number.
func TestFlagSpellings(t *testing.T) {
	got := Flags([]string{"--token_auth_file=/x", "--anonymous-auth=False", "--service-account-lookup=f", "--profiling=0", "--client-cert-auth=T", "--audit-log-maxage=0", "--v=1"})
	want := map[string]string{"token-auth-file": "/x", "anonymous-auth": "false", "service-account-lookup": "false", "profiling": "false", "client-cert-auth": "true", "audit-log-maxage": "0", "v": "1"}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
