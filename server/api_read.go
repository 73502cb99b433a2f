package server

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/baileyhq/bailey"
)

// The questions that endpoints take.
type (
	// What is embedded in them is exported: huma passes over what is not.
	plainQuestion struct{ Asking }

	pagedQuestion struct {
		Asking
		Cursor string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
	}

	findingsQuestion struct {
		Asking
		Control   string    `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Rule      string    `query:"rule" doc:"a rule, like compute/pod-security/privileged" maxLength:"256"`
		Kind      string    `query:"kind" doc:"kind of the object" maxLength:"256"`
		Namespace string    `query:"namespace" maxLength:"63"`
		Name      string    `query:"name" doc:"name of the object" maxLength:"253"`
		Severity  string    `query:"severity" enum:"info,low,medium,high,critical" doc:"the least severity"`
		Text      string    `query:"text" doc:"words in messages, objects and rules" maxLength:"256"`
		State     string    `query:"state" enum:"open,gone,waived,all" default:"open"`
		Since     time.Time `query:"since" doc:"came or went since then"`
		Order     string    `query:"order" enum:"severity,newest,object" default:"severity"`
		Cursor    string    `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit     int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	namedQuestion struct {
		Asking
		ID string `path:"id" maxLength:"128"`
	}

	controlQuestion struct {
		Asking
		Area string `path:"area" maxLength:"64"`
		Name string `path:"name" maxLength:"64"`
	}

	experimentQuestion struct {
		Asking
		Area       string `path:"area" maxLength:"64"`
		Name       string `path:"name" maxLength:"64"`
		Experiment string `path:"experiment" maxLength:"128"`
	}

	workloadsQuestion struct {
		Asking
		Namespace string `query:"namespace" maxLength:"63"`
		Kind      string `query:"kind" maxLength:"256"`
		Text      string `query:"text" maxLength:"256"`
		Cursor    string `query:"cursor" maxLength:"4096"`
		Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	objectQuestion struct {
		Asking
		Kind      string `query:"kind" required:"true" maxLength:"256"`
		Namespace string `query:"namespace" maxLength:"63"`
		Name      string `query:"name" required:"true" maxLength:"253"`
	}

	changesQuestion struct {
		Asking
		Since  time.Time `query:"since"`
		Cursor string    `query:"cursor" maxLength:"4096"`
	}

	alertsQuestion struct {
		Asking
		Open   bool   `query:"open" doc:"only those that are not resolved"`
		Cursor string `query:"cursor" maxLength:"4096"`
	}

	actionsQuestion struct {
		Asking
		Who    string `query:"who" doc:"by this person or program alone" maxLength:"256"`
		Action string `query:"action" doc:"of this kind alone, like add waiver or order run" maxLength:"64"`
		Cursor string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	searchQuestion struct {
		Asking
		Text string `query:"text" required:"true" minLength:"1" maxLength:"256"`
	}
)

// paged is a page of a list.
type paged[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"the cursor of the next page; absent on the last"`
}

func pageOf[T any](items []T, next string, err error) (paged[T], error) {
	if items == nil {
		items = []T{}
	}
	return paged[T]{items, next}, err
}

func plain(in *plainQuestion) *Asking { return &in.Asking }

// planPatience is how long an answer waits for the plan of an experiment.
const planPatience = 30 * time.Second

// reading registers what reads.
func (a *API) reading(api huma.API) {
	d := a.Desk
	read(a, api, "/status", "getStatus", "How current what is shown is", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (Sight, error) { return d.SightOf(ctx, ask) })
	huma.Register(api, reads("/clusters", "listClusters", "The clusters that are watched or push"), a.clusters)
	read(a, api, "/overview", "getOverview", "Where each control stands, what changed, and what to fix first", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (Overview, error) { return d.Overview(ctx, ask) })
	read(a, api, "/controls/{area}/{name}", "getControl", "Everything about one control", func(in *controlQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *controlQuestion) (ControlPage, error) {
			return d.Control(ctx, ask, in.Area+"/"+in.Name)
		})
	read(a, api, "/findings", "listFindings", "Findings, filtered and paged", func(in *findingsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *findingsQuestion) (FindingPage, error) {
			least, err := severityOf(in.Severity)
			if err != nil {
				return FindingPage{}, err
			}
			return d.Findings(ctx, ask, FindingFilter{Control: in.Control, Rule: in.Rule, Kind: bailey.Kind(in.Kind), Namespace: in.Namespace, Name: in.Name,
				Least: least, Text: in.Text, State: in.State, Since: in.Since, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
		})
	read(a, api, "/findings/{id}", "getFinding", "One finding", func(in *namedQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *namedQuestion) (Finding, error) {
			return d.Finding(ctx, ask, in.ID)
		})
	read(a, api, "/workloads", "listWorkloads", "Workloads, the worst first", func(in *workloadsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *workloadsQuestion) (WorkloadList, error) {
			return d.Workloads(ctx, ask, WorkloadFilter{Namespace: in.Namespace, Kind: bailey.Kind(in.Kind), Text: in.Text, Cursor: in.Cursor, Limit: in.Limit})
		})
	read(a, api, "/workload", "getWorkload", "Everything about one object", func(in *objectQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *objectQuestion) (WorkloadPage, error) {
			return d.Workload(ctx, ask, bailey.Ref{Kind: bailey.Kind(in.Kind), Namespace: in.Namespace, Name: in.Name})
		})
	read(a, api, "/namespaces", "listNamespaces", "Namespaces side by side", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (paged[NamespaceRow], error) {
			rows, err := d.NamespaceRows(ctx, ask)
			return pageOf(rows, "", err)
		})
	read(a, api, "/experiments", "listExperiments", "The experiments and what they showed last", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (paged[ExperimentInfo], error) {
			all, err := d.Experiments(ctx, ask)
			return pageOf(all, "", err)
		})
	read(a, api, "/experiments/{area}/{name}/{experiment}", "getExperiment", "One experiment with its evidence", func(in *experimentQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *experimentQuestion) (ExperimentInfo, error) {
			return d.Experiment(ctx, ask, in.Area+"/"+in.Name, in.Experiment)
		})
	read(a, api, "/experiments/{area}/{name}/{experiment}/plan", "planExperiment", "What a run of an experiment would try now, for who sees everything", func(in *experimentQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *experimentQuestion) (Proposal, error) {
			switch {
			case !ask.Sees.All:
				return Proposal{}, ErrForbidden
			case a.Proposer == nil, d.clusterOf(ask) != d.Own():
				return Proposal{}, ErrNotFound // its runs are another server's
			}
			ctx, cancel := context.WithTimeout(ctx, planPatience)
			defer cancel()
			return a.Proposer.Propose(ctx, in.Area+"/"+in.Name, in.Experiment)
		})
	read(a, api, "/runs", "listRuns", "Runs of experiments, the newest first", func(in *pagedQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *pagedQuestion) (paged[Run], error) {
			return pageOf(d.Runs(ctx, ask, in.Cursor))
		})
	read(a, api, "/runs/{id}", "getRun", "One run", func(in *namedQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *namedQuestion) (Run, error) { return d.Run(ctx, ask, in.ID) })
	read(a, api, "/alerts", "listAlerts", "Alerts, the newest first", func(in *alertsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *alertsQuestion) (paged[Alert], error) {
			return pageOf(d.Alerts(ctx, ask, in.Open, in.Cursor))
		})
	read(a, api, "/actions", "listActions", "Who did what here, and who was refused what, the newest first, for who sees everything", func(in *actionsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *actionsQuestion) (paged[Action], error) {
			return pageOf(d.Actions(ctx, ask, ActionFilter{Who: in.Who, Action: in.Action, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/waivers", "listWaivers", "Waivers, ended ones too", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (paged[WaiverEntry], error) {
			all, err := d.Waivers(ctx, ask)
			return pageOf(all, "", err)
		})
	read(a, api, "/guards", "listGuards", "Guards and how far they are in place, for who may get guards", plain,
		func(ctx context.Context, ask Ask, _ *plainQuestion) (paged[GuardInfo], error) {
			all, err := d.Guards(ctx, ask)
			return pageOf(all, "", err)
		})
	read(a, api, "/changes", "listChanges", "Controls that moved on the ladder, the newest first", func(in *changesQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *changesQuestion) (paged[RungChange], error) {
			return pageOf(d.Changes(ctx, ask, in.Since, in.Cursor))
		})
	read(a, api, "/search", "search", "Controls, rules, objects and findings that bear a text", func(in *searchQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *searchQuestion) (paged[Hit], error) {
			hits, err := d.Search(ctx, ask, in.Text)
			return pageOf(hits, "", err)
		})
}
