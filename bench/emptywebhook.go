package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	"github.com/baileyhq/bailey/devcluster"
)

// emptyWebhook admits whatever it is asked, and looks at nothing but the request's UID. What
// an API server takes longer with it than without is the price of asking, whoever answers.
type emptyWebhook struct {
	cluster *devcluster.Cluster
	server  *httptest.Server
	asked   atomic.Int64
}

func newEmptyWebhook(c *devcluster.Cluster) *emptyWebhook {
	e := &emptyWebhook{cluster: c}
	e.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		var review struct {
			Request struct {
				UID string `json:"uid"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,"allowed":true}}`, review.Request.UID)
	}))
	e.server.EnableHTTP2 = true
	e.server.StartTLS()
	return e
}

const emptyWebhookPath = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"

// apply puts its configuration in place, for the pods that the gate is asked about.
func (e *emptyWebhook) apply(ctx context.Context) error {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: e.server.Certificate().Raw})
	return e.cluster.Do(ctx, http.MethodPost, emptyWebhookPath, map[string]any{
		"metadata": map[string]any{"name": "empty"},
		"webhooks": []any{map[string]any{
			"name": "empty.bench.bailey.dev", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": []string{"v1"},
			"clientConfig": map[string]any{"url": e.server.URL + "/", "caBundle": ca},
			"rules":        []any{map[string]any{"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"}}},
		}},
	}, nil)
}

// remove takes it away, and wants it to have been asked: what nobody asks costs nothing.
func (e *emptyWebhook) remove(ctx context.Context) error {
	if e.asked.Swap(0) == 0 {
		return errors.New("the empty webhook was never asked")
	}
	return e.cluster.Do(ctx, http.MethodDelete, emptyWebhookPath+"/empty", nil, nil)
}
