package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/baileyhq/bailey"
)

// WaiverOrder is a waiver to add.
type WaiverOrder struct {
	Rule      string    `json:"rule" minLength:"1" maxLength:"256" doc:"a rule or control ID; a trailing /* takes every rule under it"`
	Kind      string    `json:"kind,omitempty" maxLength:"256"`
	Namespace string    `json:"namespace,omitempty" maxLength:"63" doc:"may hold * as a wildcard"`
	Name      string    `json:"name,omitempty" maxLength:"253" doc:"may hold * as a wildcard"`
	Reason    string    `json:"reason" minLength:"1" maxLength:"4096"`
	Owner     string    `json:"owner" minLength:"1" maxLength:"256"`
	Expires   time.Time `json:"expires"`
}

// Waiver is the order as a waiver.
func (o WaiverOrder) Waiver() bailey.Waiver {
	return bailey.Waiver{Rule: o.Rule, Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Reason: o.Reason, Owner: o.Owner, Expires: o.Expires}
}

// WaiverExtensionOrder puts off the end of a waiver.
type WaiverExtensionOrder struct {
	Reason  string    `json:"reason" minLength:"1" maxLength:"4096" doc:"why the risk is accepted for longer"`
	Expires time.Time `json:"expires" doc:"the new end, after the old one"`
}

// made names what was made.
type made struct {
	ID string `json:"id"`
}

// writing registers what changes something.
func (a *API) writing(api huma.API) {
	errs := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	huma.Register(api, huma.Operation{Method: http.MethodPost, Path: "/api/v1/waivers", OperationID: "addWaiver", Summary: "Accept findings for a time",
		DefaultStatus: http.StatusCreated, Errors: errs},
		func(ctx context.Context, in *struct {
			Asking
			Body WaiverOrder
		}) (*body[made], error) {
			ask, by, err := a.order(ctx, in.Cluster, WriteWaivers, ActAddWaiver, in.Body.Rule)
			if err != nil {
				return nil, err
			}
			id, err := a.Desk.AddWaiver(ctx, ask, by, in.Body.Waiver())
			if err != nil {
				return nil, a.fail(err)
			}
			return &body[made]{made{id}}, nil
		})
	huma.Register(api, huma.Operation{Method: http.MethodDelete, Path: "/api/v1/waivers/{id}", OperationID: "endWaiver", Summary: "End a waiver",
		DefaultStatus: http.StatusNoContent, Errors: errs},
		func(ctx context.Context, in *struct {
			Asking
			ID string `path:"id" maxLength:"64"`
		}) (*struct{}, error) {
			ask, by, err := a.order(ctx, in.Cluster, WriteWaivers, ActEndWaiver, in.ID)
			if err != nil {
				return nil, err
			}
			if err := a.Desk.EndWaiver(ctx, ask, by, in.ID); err != nil {
				return nil, a.fail(err)
			}
			return nil, nil
		})
	huma.Register(api, huma.Operation{Method: http.MethodPost, Path: "/api/v1/waivers/{id}/extend", OperationID: "extendWaiver", Summary: "Put off the end of a waiver",
		DefaultStatus: http.StatusNoContent, Errors: errs},
		func(ctx context.Context, in *struct {
			Asking
			ID   string `path:"id" maxLength:"64"`
			Body WaiverExtensionOrder
		}) (*struct{}, error) {
			ask, by, err := a.order(ctx, in.Cluster, WriteWaivers, ActExtendWaiver, in.ID)
			if err != nil {
				return nil, err
			}
			if err := a.Desk.ExtendWaiver(ctx, ask, by, in.ID, in.Body.Reason, in.Body.Expires); err != nil {
				return nil, a.fail(err)
			}
			return nil, nil
		})
	huma.Register(api, huma.Operation{Method: http.MethodPost, Path: "/api/v1/runs", OperationID: "runExperiments", Summary: "Run experiments now",
		DefaultStatus: http.StatusAccepted, Errors: errs},
		func(ctx context.Context, in *struct{ Body RunOrder }) (*body[made], error) {
			_, by, err := a.order(ctx, "", RunExperiments, ActOrderRun, in.Body.String())
			if err != nil {
				return nil, err
			}
			if a.Run == nil {
				return nil, huma.Error404NotFound("this server runs no experiments")
			}
			id, err := a.Run(ctx, by, in.Body)
			if err != nil {
				return nil, a.fail(err)
			}
			return &body[made]{made{id}}, nil
		})
	huma.Register(api, huma.Operation{Method: http.MethodPost, Path: "/api/v1/runs/{id}/stop", OperationID: "stopRun", Summary: "Stop a run that waits or is under way",
		DefaultStatus: http.StatusNoContent, Errors: errs},
		func(ctx context.Context, in *struct {
			ID string `path:"id" maxLength:"128"`
		}) (*struct{}, error) {
			_, by, err := a.order(ctx, "", RunExperiments, ActStopRun, in.ID)
			if err != nil {
				return nil, err
			}
			if a.Stop == nil {
				return nil, huma.Error404NotFound("this server runs no experiments")
			}
			if err := a.Stop(ctx, by, in.ID); err != nil {
				return nil, a.fail(err)
			}
			return nil, nil
		})
}

// order says who orders something, if they may; that they may not is kept.
func (a *API) order(ctx context.Context, cluster string, right Right, action, target string) (Ask, string, error) {
	by := WhoAsks(ctx).Name
	ask, err := AskOf(ctx, a.Desk, a.Rights, cluster)
	if errors.Is(err, ErrForbidden) {
		a.Desk.Refused(ctx, Ask{}, by, action, target) // of the own cluster: whether there is another is not theirs to know
	}
	if err != nil {
		return ask, "", a.fail(err)
	}
	allowed, err := a.Rights.May(ctx, WhoAsks(ctx), right, "")
	if err != nil {
		return ask, "", a.fail(errors.Join(ErrUnavailable, err))
	}
	if !allowed {
		a.Desk.Refused(ctx, ask, by, action, target)
		return ask, "", a.fail(ErrForbidden)
	}
	return ask, by, nil
}
