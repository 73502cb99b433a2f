package main

import (
	"context"
	"net/http"

	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/server"
	"github.com/baileyhq/bailey/web"
)

// pages gives the dashboard.
func (s *serving) pages(front *server.Front, api *server.API) http.Handler {
	o := web.Options{Desk: s.desk, Controls: controls.All(), Rights: s.rights, Front: front, Run: api.Run, Isolated: s.flags.isolated, Stop: api.Stop, Version: version, Log: s.log, Now: s.app.now,
		Ask: func(ctx context.Context, cluster string) (server.Ask, error) {
			return server.AskOf(ctx, s.desk, s.rights, cluster)
		}}
	if asked, ok := s.rights.(*server.ClusterRights); ok {
		o.Away = asked.Away
	}
	if api.Proposer != nil {
		o.Propose = api.Proposer.Propose
	}
	if s.book != nil {
		o.Ledger = s.book.Page
	}
	if s.flags.gate != "" {
		o.Gate = s.gateState
	}
	return web.New(o)
}
