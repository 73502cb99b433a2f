package server

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/baileyhq/bailey"
)

type (
	controlsQuestion struct {
		Asking
		Area   string `query:"area" doc:"of an area, like compute" maxLength:"64"`
		Rung   string `query:"rung" enum:"gap,unknown,sound,guarded,proven" doc:"that stand on it"`
		Stale  bool   `query:"stale" doc:"only those of which a proof is older than its experiment allows"`
		Text   string `query:"text" doc:"words in ID and in what it asks" maxLength:"256"`
		Order  string `query:"order" enum:"control,rung,findings" default:"control" doc:"control: of the catalogue; rung: the lowest first; findings: the worst that nobody accepts first, then the most"`
		Cursor string `query:"cursor" doc:"next of the page before" maxLength:"16"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	rulesQuestion struct {
		Asking
		Control  string `query:"control" doc:"of a control, like compute/pod-security" maxLength:"128"`
		Severity string `query:"severity" enum:"info,low,medium,high,critical" doc:"the least severity of the rule"`
		Found    bool   `query:"found" doc:"only those by which something is found that nobody accepts"`
		Text     string `query:"text" doc:"words in ID and title" maxLength:"256"`
		Order    string `query:"order" enum:"rule,severity,findings" default:"rule" doc:"rule: of the catalogue; severity: the worst first; findings: the worst that nobody accepts first, then the most"`
		Cursor   string `query:"cursor" doc:"next of the page before" maxLength:"16"`
		Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	scopesQuestion struct {
		Asking
		Area      string `path:"area" maxLength:"64"`
		Name      string `path:"name" maxLength:"64"`
		Rung      string `query:"rung" enum:"low,gap,unknown,sound,guarded,proven" doc:"on which the control stands; low: gap or unknown"`
		Namespace string `query:"namespace" maxLength:"63"`
		Text      string `query:"text" doc:"words in what it is, and in what would change its rung" maxLength:"256"`
		Order     string `query:"order" enum:"lowest,name" default:"lowest" doc:"lowest: the lowest rung first; name: by kind of scope, namespace, kind and name"`
		Cursor    string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	guardsQuestion struct {
		Asking
		Control   string `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Namespace string `query:"namespace" doc:"planned for places in it, which alone are given" maxLength:"63"`
		Stage     string `query:"stage" enum:"not planned,absent,audit,warn,deny,in place,drifted" doc:"the least over its places; drifted: in any of them"`
		Text      string `query:"text" doc:"words in control, name, title and description" maxLength:"256"`
		Order     string `query:"order" enum:"control,stage" default:"control" doc:"control: of the catalogue; stage: what drifted first, then what is least in place"`
	}

	guardQuestion struct {
		Asking
		Area      string `path:"area" maxLength:"64"`
		Name      string `path:"name" maxLength:"64"`
		Guard     string `path:"guard" maxLength:"128"`
		Namespace string `query:"namespace" maxLength:"63"`
		Stage     string `query:"stage" enum:"absent,audit,warn,deny,in place,drifted"`
		Text      string `query:"text" doc:"words in where it is, and why it is so" maxLength:"256"`
		Order     string `query:"order" enum:"stage,name,newest" default:"stage" doc:"stage: what drifted first, then what is least in place"`
		Cursor    string `query:"cursor" doc:"next of the page before" maxLength:"16"`
		Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}

	evidenceQuestion struct {
		Asking
		Control    string `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Experiment string `query:"experiment" doc:"an experiment of that control" maxLength:"128"`
		Namespace  string `query:"namespace" maxLength:"63"`
		Order      string `query:"order" enum:"newest,oldest" default:"newest"`
		Cursor     string `query:"cursor" doc:"next of the page before" maxLength:"4096"`
		Limit      int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}
)

// listing registers the lists of what single pages show one by one.
func (a *API) listing(api huma.API) {
	d := a.Desk
	read(a, api, "/controls", "listControls", "The controls: where each stands, what is found, and how old its proofs are", func(in *controlsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *controlsQuestion) (paged[ControlRow], error) {
			f := ControlFilter{Area: in.Area, Stale: in.Stale, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}
			if in.Rung != "" {
				f.Rung = new(bailey.Rung)
				if err := f.Rung.UnmarshalText([]byte(in.Rung)); err != nil {
					return paged[ControlRow]{}, badInput(err)
				}
			}
			return pageOf(d.Controls(ctx, ask, f))
		})
	read(a, api, "/rules", "listRules", "The rules of the catalogue, and how much each finds", func(in *rulesQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *rulesQuestion) (paged[RuleRow], error) {
			least, err := severityOf(in.Severity)
			if err != nil {
				return paged[RuleRow]{}, err
			}
			return pageOf(d.Rules(ctx, ask, RuleFilter{Control: in.Control, Least: least, Found: in.Found, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/controls/{area}/{name}/scopes", "listScopes", "The scopes that a control stands for, filtered and paged", func(in *scopesQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *scopesQuestion) (paged[ScopeStanding], error) {
			return pageOf(d.Scopes(ctx, ask, in.Area+"/"+in.Name, ScopeFilter{Rung: in.Rung, Namespace: in.Namespace, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
	read(a, api, "/guards", "listGuards", "Guards and how far they are in place, filtered, for who may get guards", func(in *guardsQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *guardsQuestion) (paged[GuardInfo], error) {
			all, err := d.Guards(ctx, ask, GuardFilter{Control: in.Control, Namespace: in.Namespace, Stage: in.Stage, Text: in.Text, Order: in.Order})
			return pageOf(all, "", err)
		})
	read(a, api, "/guards/{area}/{name}/{guard}", "getGuard", "One guard and how far it is in place where it was planned for, filtered and paged, for who may get guards", func(in *guardQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *guardQuestion) (GuardPage, error) {
			return d.Guard(ctx, ask, in.Area+"/"+in.Name, in.Guard, PlaceFilter{Namespace: in.Namespace, Stage: in.Stage, Text: in.Text, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit})
		})
	read(a, api, "/evidence", "listEvidence", "Evidence of experiments, with its index in the ledger of the server that watches the cluster", func(in *evidenceQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *evidenceQuestion) (paged[Evidence], error) {
			return pageOf(d.Evidence(ctx, ask, EvidenceFilter{Control: in.Control, Experiment: in.Experiment, Namespace: in.Namespace, Order: in.Order, Cursor: in.Cursor, Limit: in.Limit}))
		})
}
