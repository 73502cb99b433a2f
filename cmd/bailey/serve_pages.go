package main

import (
	"net/http"

	"github.com/baileyhq/bailey/server"
)

// pages gives the dashboard.
func (s *serving) pages(front *server.Front, api *server.API) http.Handler {
	return nil
}
