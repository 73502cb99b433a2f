package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// Scope reads the webhook configurations in the cluster, again and again: it says where
// they let more through than the gate's own scope, and keeps the CA in them.
type Scope struct {
	client kubernetes.Interface
	want   imagegate.Config
	bundle func() []byte // nil: somebody else keeps the CA in the configurations
	gate   *Gate
	state  atomic.Pointer[scopeState]
}

type scopeState struct {
	deviations []string
	err        error
}

// NewScope checks for a gate.
func NewScope(client kubernetes.Interface, g *Gate, want imagegate.Config, bundle func() []byte) *Scope {
	return &Scope{client: client, want: want, bundle: bundle, gate: g}
}

// Deviations are those found last; nil where there are none.
func (s *Scope) Deviations() []string {
	state := s.state.Load()
	switch {
	case state == nil:
		return []string{"the webhook configurations were not read yet"}
	case state.err != nil:
		return append(slices.Clone(state.deviations), "the webhook configurations cannot be read: "+state.err.Error())
	}
	return state.deviations
}

// Run checks until ctx ends.
func (s *Scope) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.Check(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Check reads the configurations once, and tells what is new.
func (s *Scope) Check(ctx context.Context) {
	before := s.state.Load()
	now := &scopeState{}
	now.deviations, now.err = s.read(ctx)
	if ctx.Err() != nil {
		return
	}
	if now.err != nil && before != nil {
		now.deviations = before.deviations
	}
	s.state.Store(now)
	log, m := s.gate.log, s.gate.metrics
	if now.err != nil {
		log.Error("the webhook configurations cannot be read, so their scope is not checked", "error", now.err)
		return
	}
	m.checked.SetToCurrentTime()
	m.deviations.Set(float64(len(now.deviations)))
	if before != nil && before.err == nil && slices.Equal(before.deviations, now.deviations) {
		return
	}
	if len(now.deviations) == 0 {
		log.Info("the webhook configurations are as they should be")
	}
	for _, d := range now.deviations {
		log.Error("the webhook configuration lets more through than the gate's scope", "deviation", d)
	}
	if before == nil && len(now.deviations) == 0 {
		return
	}
	s.record(now.deviations)
}

// record tells the ledger.
func (s *Scope) record(deviations []string) {
	r := s.gate.o.Record
	if r == nil {
		return
	}
	at := s.gate.o.Now().UTC()
	data, err := json.Marshal(map[string]any{"type": "gate-scope", "time": at, "gate": r.name(), "deviations": append([]string{}, deviations...)})
	if err != nil {
		s.gate.log.Error("the scope's deviations cannot be written", "error", err)
		return
	}
	r.put(Record{ID: fmt.Sprintf("gate/scope/%s/%d", r.name(), at.UnixNano()), Data: data})
}

// read gives the deviations, and puts the CA where it is lacking.
func (s *Scope) read(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askLimit)
	defer cancel()
	api := s.client.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().Get(ctx, imagegate.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		validating, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	mutating, err := api.MutatingWebhookConfigurations().Get(ctx, imagegate.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		mutating, err = nil, nil
	}
	if err != nil {
		return nil, err
	}
	deviations := append(s.want.ValidatingDeviations(validating), s.want.MutatingDeviations(mutating)...)
	if s.bundle == nil || len(s.bundle()) == 0 {
		return deviations, nil
	}
	if validating != nil {
		var clients []*admissionregistrationv1.WebhookClientConfig
		for i := range validating.Webhooks {
			clients = append(clients, &validating.Webhooks[i].ClientConfig)
		}
		if s.trusts(clients) {
			_, err = api.ValidatingWebhookConfigurations().Update(ctx, validating, metav1.UpdateOptions{FieldManager: imagegate.Name})
		}
	}
	if mutating != nil && err == nil {
		var clients []*admissionregistrationv1.WebhookClientConfig
		for i := range mutating.Webhooks {
			clients = append(clients, &mutating.Webhooks[i].ClientConfig)
		}
		if s.trusts(clients) {
			_, err = api.MutatingWebhookConfigurations().Update(ctx, mutating, metav1.UpdateOptions{FieldManager: imagegate.Name})
		}
	}
	if err != nil && !apierrors.IsConflict(err) { // of a conflict, the next check sees what is there
		s.gate.log.Error("the CA cannot be written into the webhook configurations", "error", err)
	}
	return deviations, nil
}

// trusts writes the CA, and reports whether anything changed.
func (s *Scope) trusts(clients []*admissionregistrationv1.WebhookClientConfig) bool {
	changed := false
	for _, c := range clients {
		if bundle := s.bundle(); !bytes.Equal(c.CABundle, bundle) {
			c.CABundle, changed = bundle, true
		}
	}
	return changed
}
