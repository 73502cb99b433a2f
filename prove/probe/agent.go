package probe

import (
	"context"
	"strings"
)

// agentKey is the context's key for the User-Agent of requests over HTTP.
type agentKey struct{}

// AsAgent gives the requests of a context a User-Agent, by which detectors tell them
// from an attacker's.
func AsAgent(ctx context.Context, agent string) context.Context {
	return context.WithValue(ctx, agentKey{}, agent)
}

// agentOf gives the context's User-Agent, as one line.
func agentOf(ctx context.Context) string {
	agent, _ := ctx.Value(agentKey{}).(string)
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, agent)
	if agent == "" {
		return "bailey-prober"
	}
	return agent
}
