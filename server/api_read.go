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

	findingsQuestion struct {
		Asking
		Control   string    `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Rule      string    `query:"rule" doc:"a rule, like compute/pod-security/privileged" maxLength:"256"`
		Kind      string    `query:"kind" doc:"kind of the object" maxLength:"256"`
		Namespace string    `query:"namespace" maxLength:"63"`
		Name      string    `query:"name" doc:"name of the object" maxLength:"253"`
		Severity  string    `query:"severity" enum:"info,low,medium,high,critical" doc:"the least severity"`
		Text      string    `query:"text" doc:"words in messages, objects and rules" maxLength:"256"`
		State     string    `query:"state" enum:"open,gone,waived,all" default:"open" doc:"waived: accepted by a waiver or the baseline; open: by neither"`
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
		Order     string `query:"order" enum:"name,findings" default:"name" doc:"name: by namespace, kind and name; findings: the worst that nobody accepts first, then the most"`
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
		Control   string    `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Namespace string    `query:"namespace" maxLength:"63"`
		Since     time.Time `query:"since"`
		Text      string    `query:"text" doc:"words in control, where it stands so, and why" maxLength:"256"`
		Order     string    `query:"order" enum:"newest,oldest" default:"newest"`
		Cursor    string    `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit     int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	alertsQuestion struct {
		Asking
		Open      bool   `query:"open" doc:"only those that are not resolved; the same as state=open"`
		State     string `query:"state" enum:"open,over,all" doc:"all if neither this nor open is given"`
		Kind      string `query:"kind" enum:"detection,finding,ledger,rung,staleness"`
		Severity  string `query:"severity" enum:"info,low,medium,high,critical" doc:"the least severity"`
		Control   string `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Namespace string `query:"namespace" maxLength:"63"`
		Text      string `query:"text" doc:"words in title and text" maxLength:"256"`
		Order     string `query:"order" enum:"newest,oldest,severity" default:"newest"`
		Cursor    string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	runsQuestion struct {
		Asking
		State   string `query:"state" enum:"planned,running,done,broken,stopped,failed" doc:"broken: one in which something broke"`
		Trigger string `query:"trigger" enum:"schedule,person,api"`
		Control string `query:"control" doc:"with experiments of this control, like compute/pod-security" maxLength:"128"`
		Text    string `query:"text" doc:"words in ID, controls, error and who asked" maxLength:"256"`
		Order   string `query:"order" enum:"newest,oldest" default:"newest"`
		Cursor  string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"` // store.RunsMost
	}

	waiversQuestion struct {
		Asking
		State   string `query:"state" enum:"current,active,expiring,expired,ended,all" default:"all" doc:"expiring: within two weeks; current: not ended"`
		Control string `query:"control" doc:"of a control or its rules, like compute/pod-security" maxLength:"128"`
		Owner   string `query:"owner" doc:"a part of the owner" maxLength:"256"`
		Text    string `query:"text" doc:"words in what it says" maxLength:"256"`
		Order   string `query:"order" enum:"expiry,newest,accepts,rule,owner" default:"expiry" doc:"expiry: those that count, the next to end first; then the others, the last to end first. Waivers that ended before the last thousand follow in any order, the last to end first"`
		Cursor  string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	experimentsQuestion struct {
		Asking
		Control string `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Danger  string `query:"danger" maxLength:"32"`
		State   string `query:"state" enum:"held,broken,inconclusive,stale,never"`
		Text    string `query:"text" doc:"words in control, title, hypothesis and technique" maxLength:"256"`
		Order   string `query:"order" enum:"control,state,newest" default:"control"`
	}

	namespacesQuestion struct {
		Asking
		Text    string `query:"text" doc:"a part of the name" maxLength:"63"`
		Control string `query:"control" doc:"in which this control stands" maxLength:"128"`
		Rung    string `query:"rung" enum:"gap,unknown,sound,guarded,proven" doc:"in which the control, or any, stands on it"`
		Order   string `query:"order" enum:"name,worst,findings" default:"name"`
	}

	actionsQuestion struct {
		Asking
		Who     string    `query:"who" doc:"by this person or program alone" maxLength:"256"`
		Action  string    `query:"action" doc:"of this kind alone, like add waiver or order run" maxLength:"64"`
		Outcome string    `query:"outcome" enum:"done,refused"`
		Since   time.Time `query:"since" doc:"done since then"`
		Until   time.Time `query:"until" doc:"done before"`
		Text    string    `query:"text" doc:"words in who, target and outcome" maxLength:"256"`
		Order   string    `query:"order" enum:"newest,oldest" default:"newest"`
		Cursor  string    `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit   int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	fleetQuestion struct {
		Text   string `query:"text" doc:"words in name and UID" maxLength:"256"`
		State  string `query:"state" enum:"seen,lost" doc:"lost: out of sight"`
		Order  string `query:"order" enum:"name,heard,findings" default:"name" doc:"heard: what was heard of longest ago first; findings: the worst that nobody accepts first, then the most"`
		Cursor string `query:"cursor" doc:"next of the page before" maxLength:"16"`
		Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"25"`
	}

	searchQuestion struct {
		Asking
		Text string `query:"text" required:"true" minLength:"1" maxLength:"256"`
	}
)

// paged is a page of a list.
type paged[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"the cursor of the next page; absent on the last. A page before it may hold less than its limit"`
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
	huma.Register(api, reads("/fleet", "listFleet", "Those clusters side by side: where controls stand, what is open, and since when nothing was heard"), a.fleet)
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
	read(a, api, "/workloads", "listWorkloads", "Workloads, filtered and paged", func(in *workloadsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *workloadsQuestion) (WorkloadList, error) {
			return d.Workloads(ctx, ask, WorkloadFilter{Namespace: in.Namespace, Kind: bailey.Kind(in.Kind), Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
		})
	read(a, api, "/workload", "getWorkload", "Everything about one object", func(in *objectQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *objectQuestion) (WorkloadPage, error) {
			return d.Workload(ctx, ask, bailey.Ref{Kind: bailey.Kind(in.Kind), Namespace: in.Namespace, Name: in.Name})
		})
	read(a, api, "/namespaces", "listNamespaces", "Namespaces side by side", func(in *namespacesQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *namespacesQuestion) (paged[NamespaceRow], error) {
			f := NamespaceFilter{Text: in.Text, Control: in.Control, Order: in.Order}
			if in.Rung != "" {
				f.Rung = new(bailey.Rung)
				if err := f.Rung.UnmarshalText([]byte(in.Rung)); err != nil {
					return paged[NamespaceRow]{}, badInput(err)
				}
			}
			rows, _, err := d.NamespaceRows(ctx, ask, f)
			return pageOf(rows, "", err)
		})
	read(a, api, "/experiments", "listExperiments", "The experiments and what they showed last", func(in *experimentsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *experimentsQuestion) (paged[ExperimentInfo], error) {
			all, err := d.Experiments(ctx, ask, ExperimentFilter{Control: in.Control, Danger: bailey.Danger(in.Danger), State: in.State, Text: in.Text, Order: in.Order})
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
	read(a, api, "/runs", "listRuns", "Runs of experiments, filtered and paged; spokes push none", func(in *runsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *runsQuestion) (paged[Run], error) {
			return pageOf(d.Runs(ctx, ask, RunFilter{State: in.State, Trigger: in.Trigger, Control: in.Control, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/runs/{id}", "getRun", "One run", func(in *namedQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *namedQuestion) (Run, error) { return d.Run(ctx, ask, in.ID) })
	read(a, api, "/alerts", "listAlerts", "Alerts, filtered and paged", func(in *alertsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *alertsQuestion) (paged[Alert], error) {
			least, err := severityOf(in.Severity)
			if err != nil {
				return paged[Alert]{}, err
			}
			f := AlertFilter{State: in.State, Kind: in.Kind, Least: least, Control: in.Control, Namespace: in.Namespace, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}
			if in.Open && f.State == "" {
				f.State = "open"
			}
			return pageOf(d.Alerts(ctx, ask, f))
		})
	read(a, api, "/actions", "listActions", "Who did what at this server, and who was refused what, for who sees everything", func(in *actionsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *actionsQuestion) (paged[Action], error) {
			return pageOf(d.Actions(ctx, ask, ActionFilter{Who: in.Who, Action: in.Action, Outcome: in.Outcome, Since: in.Since, Until: in.Until, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/waivers", "listWaivers", "Waivers, ended ones too, filtered and paged; spokes push none, but with each finding the one that accepts it", func(in *waiversQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *waiversQuestion) (paged[WaiverEntry], error) {
			all, _, next, err := d.Waivers(ctx, ask, WaiverFilter{State: in.State, Control: in.Control, Owner: in.Owner, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
			return pageOf(all, next, err)
		})
	read(a, api, "/changes", "listChanges", "Controls that moved on the ladder, filtered and paged", func(in *changesQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *changesQuestion) (paged[RungChange], error) {
			return pageOf(d.Changes(ctx, ask, ChangeFilter{Control: in.Control, Namespace: in.Namespace, Since: in.Since, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/search", "search", "What bears a text: controls, rules, experiments, objects, findings, alerts, waivers and runs", func(in *searchQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *searchQuestion) (paged[Hit], error) {
			hits, err := d.Search(ctx, ask, in.Text)
			return pageOf(hits, "", err)
		})
}
