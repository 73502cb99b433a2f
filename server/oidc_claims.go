package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Claims says whom an ID token names: the flags --oidc-* of an API server, with the same meaning.
type Claims struct {
	// Issuer is the provider's URL, exactly as it writes it itself.
	Issuer string
	// Username is the claim that names the person: sub if empty. Of email, the provider must say
	// that it is verified, and UsernamePrefix is empty by default.
	Username string
	// UsernamePrefix stands before names, so that no provider names what is the cluster's: the
	// issuer and # if empty, nothing if "-".
	UsernamePrefix string
	// Groups is the claim that lists groups; none is read if empty. GroupsPrefix stands before each.
	Groups, GroupsPrefix string
	// Scopes are asked for beside openid, and email where that names the person.
	Scopes []string
}

const (
	// maxName bounds a name in bytes, and maxGroups the groups of one person.
	maxName, maxGroups = 512, 1000
	// reserved begins the names that Kubernetes gives itself.
	reserved = "system:"
)

func (c *Claims) username() string {
	if c.Username == "" {
		return "sub"
	}
	return c.Username
}

func (c *Claims) prefix() string {
	switch {
	case c.UsernamePrefix == "-", c.UsernamePrefix == "" && c.username() == "email":
		return ""
	case c.UsernamePrefix == "":
		return c.Issuer + "#"
	}
	return c.UsernamePrefix
}

func (c *Claims) scopes() []string {
	all := []string{"openid"}
	if c.username() == "email" {
		all = append(all, "email")
	}
	for _, s := range c.Scopes {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Who gives whom the claims name. Names that are Kubernetes' own, or the local administrator's,
// are nobody's to claim.
func (c *Claims) Who(claims map[string]any) (Who, error) {
	name, _ := claims[c.username()].(string)
	if name == "" {
		return Who{}, fmt.Errorf("%w: the ID token has no claim %q that is a text", ErrRefused, c.username())
	}
	if verified, _ := claims["email_verified"].(bool); c.username() == "email" && !verified {
		return Who{}, fmt.Errorf("%w: the provider does not say that the address is verified", ErrRefused)
	}
	who := Who{Name: c.prefix() + name}
	if err := claimable(who.Name); err != nil {
		return Who{}, err
	}
	groups, err := c.groups(claims)
	if err != nil {
		return Who{}, err
	}
	for _, group := range groups {
		group = c.GroupsPrefix + group
		if err := claimable(group); err != nil {
			return Who{}, err
		}
		who.Groups = append(who.Groups, group)
	}
	// The API server puts everybody that it knows into this group.
	who.Groups = append(who.Groups, "system:authenticated")
	return who, nil
}

func (c *Claims) groups(claims map[string]any) ([]string, error) {
	if c.Groups == "" {
		return nil, nil
	}
	switch value := claims[c.Groups].(type) {
	case nil:
		return nil, nil
	case string:
		return []string{value}, nil
	case []any:
		var all []string
		for _, one := range value {
			group, is := one.(string)
			if !is || len(all) == maxGroups {
				return nil, fmt.Errorf("%w: the claim %q is no list of texts, or has over %d", ErrRefused, c.Groups, maxGroups)
			}
			all = append(all, group)
		}
		return all, nil
	}
	return nil, fmt.Errorf("%w: the claim %q is neither a text nor a list", ErrRefused, c.Groups)
}

// claimable fails of a name that a provider must not give.
func claimable(name string) error {
	switch {
	case name == "", len(name) > maxName, strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("%w: a name or group is empty, longer than %d bytes, or holds control characters", ErrRefused, maxName)
	case strings.HasPrefix(name, reserved):
		return fmt.Errorf("%w: the provider claims %.100q, and what begins with %s is the cluster's own", ErrRefused, name, reserved)
	case name == localAdministrator.Name:
		return fmt.Errorf("%w: the provider claims the name of the local administrator", ErrRefused)
	}
	return nil
}

// issued reports whether a token says that it is of the issuer. Nothing is verified yet: it
// keeps other tokens from being asked about.
func (c *Claims) issued(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var said struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &said) == nil && said.Issuer == c.Issuer
}
