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

	evidenceQuestion struct {
		Asking
		Control    string `query:"control" doc:"a control, like compute/pod-security" maxLength:"128"`
		Experiment string `query:"experiment" doc:"an experiment of that control" maxLength:"128"`
		Namespace  string `query:"namespace" maxLength:"63"`
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
	read(a, api, "/evidence", "listEvidence", "Evidence of experiments, with its index in the ledger of the server that watches the cluster, the newest first", func(in *evidenceQuestion) *Asking { return &in.Asking },
		func(ctx context.Context, ask Ask, in *evidenceQuestion) (paged[Evidence], error) {
			return pageOf(d.Evidence(ctx, ask, EvidenceFilter{Control: in.Control, Experiment: in.Experiment, Namespace: in.Namespace, Cursor: in.Cursor, Limit: in.Limit}))
		})
}
