package web

import (
	"context"
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/server"
)

// Desk answers what pages ask: *server.Desk, and the fixture of the tests.
type Desk interface {
	Clusters(ctx context.Context, ask server.Ask) ([]server.ClusterInfo, error)
	Fleet(ctx context.Context, ask server.Ask, filter server.FleetFilter) (server.Fleet, error)
	SightOf(ctx context.Context, ask server.Ask) (server.Sight, error)
	Overview(ctx context.Context, ask server.Ask) (server.Overview, error)
	Control(ctx context.Context, ask server.Ask, id string) (server.ControlPage, error)
	Scopes(ctx context.Context, ask server.Ask, control string, filter server.ScopeFilter) (scopes []server.ScopeStanding, next string, err error)
	Findings(ctx context.Context, ask server.Ask, filter server.FindingFilter) (server.FindingPage, error)
	Finding(ctx context.Context, ask server.Ask, id string) (server.Finding, error)
	Workloads(ctx context.Context, ask server.Ask, filter server.WorkloadFilter) (server.WorkloadList, error)
	Workload(ctx context.Context, ask server.Ask, ref bailey.Ref) (server.WorkloadPage, error)
	NamespaceRows(ctx context.Context, ask server.Ask, filter server.NamespaceFilter) (rows []server.NamespaceRow, total int, err error)
	Experiments(ctx context.Context, ask server.Ask, filter server.ExperimentFilter) ([]server.ExperimentInfo, error)
	// Lacks gives those of some objects that Workload finds nothing of.
	Lacks(ctx context.Context, ask server.Ask, refs []bailey.Ref) (map[bailey.Ref]bool, error)
	Experiment(ctx context.Context, ask server.Ask, control, name string) (server.ExperimentInfo, error)
	Evidence(ctx context.Context, ask server.Ask, filter server.EvidenceFilter) (evidence []server.Evidence, next string, err error)
	Runs(ctx context.Context, ask server.Ask, filter server.RunFilter) (runs []server.Run, next string, err error)
	Run(ctx context.Context, ask server.Ask, id string) (server.Run, error)
	Alerts(ctx context.Context, ask server.Ask, filter server.AlertFilter) (alerts []server.Alert, next string, err error)
	Waivers(ctx context.Context, ask server.Ask, filter server.WaiverFilter) (page []server.WaiverEntry, total int, next string, err error)
	Waiver(ctx context.Context, ask server.Ask, id string) (server.WaiverEntry, error)
	AddWaiver(ctx context.Context, ask server.Ask, by string, waiver bailey.Waiver) (id string, err error)
	ExtendWaiver(ctx context.Context, ask server.Ask, by, id, reason string, expires time.Time) error
	EndWaiver(ctx context.Context, ask server.Ask, by, id string) error
	// Actions are ErrForbidden to who does not see everything.
	Actions(ctx context.Context, ask server.Ask, filter server.ActionFilter) (actions []server.Action, next string, err error)
	// Refused keeps that somebody was refused something.
	Refused(ctx context.Context, ask server.Ask, by, action, target string)
	Guards(ctx context.Context, ask server.Ask, filter server.GuardFilter) ([]server.GuardInfo, error)
	Guard(ctx context.Context, ask server.Ask, control, name string, filter server.PlaceFilter) (server.GuardPage, error)
	Changes(ctx context.Context, ask server.Ask, filter server.ChangeFilter) (changes []server.RungChange, next string, err error)
	Search(ctx context.Context, ask server.Ask, text string) ([]server.Hit, error)
}
