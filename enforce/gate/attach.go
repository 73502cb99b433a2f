package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// ErrTaken tells that the cluster has the webhook configuration of another gate: one that
// somebody has installed, or that runs beside this one.
var ErrTaken = errors.New("the cluster has another gate, as ValidatingWebhookConfiguration " + imagegate.Name)

const (
	// attachLimit bounds the questions and changes of one step, and answerLimit the one whether
	// another gate is there.
	attachLimit = 5 * time.Second
	answerLimit = time.Second
)

// attach tells the API server of the gate, and reports whether that is done. It goes on when
// ctx ends: what is written half would be unknown.
func (r *Running) attach(ctx context.Context, log *slog.Logger, bundle []byte) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attachLimit)
	defer cancel()
	err := Detach(ctx, r.Client, r.Config.URL) // what one that was killed left, or a try before
	if err == nil {
		config := r.Config
		config.CABundle = bundle
		validating := config.Validating()
		validating.Annotations = map[string]string{imagegate.AttachedAnnotation: "true"}
		_, err = r.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, validating, metav1.CreateOptions{FieldManager: imagegate.Name})
	}
	if err != nil {
		log.Error("the API server could not be told of the gate; it is tried again", "error", err)
	}
	return err == nil
}

// detach has the API server ask the gate no more.
func (r *Running) detach(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	if err := Detach(ctx, r.Client, r.Config.URL); err != nil && !errors.Is(err, ErrTaken) {
		log.Error("the gate's webhook configuration could not be removed", "error", err)
	}
}

// Detach removes the webhook configuration that a gate wrote which attached itself: the caller's
// own, by its URL if it has any, and one that answers no more. Nothing else is touched. The error wraps
// ErrTaken where another gate's is there.
func Detach(ctx context.Context, client kubernetes.Interface, own string) error {
	api := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	there, err := api.Get(ctx, imagegate.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case !imagegate.Attached(there) || len(there.Webhooks) == 0 || there.Webhooks[0].ClientConfig.URL == nil:
		return ErrTaken
	}
	at := &there.Webhooks[0].ClientConfig
	if (own == "" || !strings.HasPrefix(*at.URL, own+"/")) && answers(ctx, at) {
		return ErrTaken
	}
	err = api.Delete(ctx, imagegate.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &there.UID, ResourceVersion: &there.ResourceVersion}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the webhook configuration of a gate that has ended: %w", err)
	}
	return nil
}

// answers reports whether the server of a webhook is there: whoever has its port by now has not
// the key that the configuration's CA vouches for.
func answers(ctx context.Context, at *admissionregistrationv1.WebhookClientConfig) bool {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	u, err := url.Parse(*at.URL)
	if err != nil {
		return false
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(at.CABundle)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
