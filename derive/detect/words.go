package detect

import (
	"fmt"
	"strings"
)

// Who is the caller, and as whom he acted.
func (a *Alert) Who() string {
	who := a.User
	if who == "" {
		who = "nobody known"
	}
	if a.Impersonated != "" {
		who += " as " + a.Impersonated
	}
	return who
}

// What is the request: its verb, and the resource or path that it is for, without the object.
func (a *Alert) What() string {
	if a.Resource == "" {
		return strings.TrimSpace(a.Verb + " " + a.Path)
	}
	return strings.TrimSpace(a.Verb + " " + a.Resource)
}

// Object is what the request is about, as NAMESPACE/NAME; empty where it names nothing.
func (a *Alert) Object() string { return strings.Trim(a.Namespace+"/"+a.Name, "/") }

// How is how the request ended.
func (a *Alert) How() string {
	how := "let through"
	switch {
	case a.Refused:
		how = fmt.Sprintf("refused (%d)", a.Code)
	case a.Code == 0:
		how = "outcome not recorded"
	}
	if a.DryRun {
		how += ", a dry run"
	}
	return how
}

// From is the address of the caller.
func (a *Alert) From() string {
	if a.Address == "" {
		return "an unknown address"
	}
	return a.Address
}
