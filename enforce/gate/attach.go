package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"syscall"
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

// Attachment is whether the API server asks a gate that attaches itself.
type Attachment struct {
	Err error // why it does not, or why that is not known; nil if it does
	// Deviations are those in which its webhook configuration lets more through than the gate's
	// own scope.
	Deviations []string
}

// Attachment is that of a gate that attaches itself, as it was found last; of any other gate it
// says nothing.
func (g *Gate) Attachment() Attachment {
	if a := g.attachment.Load(); a != nil {
		return *a
	}
	return Attachment{Err: errors.New("its webhook configuration is not written yet")}
}

// attached has the API server ask the gate if it does not, and reports whether it does. A failure is
// logged once.
func (r *Running) attached(ctx context.Context, g *Gate, s served, scope *Scope) bool {
	before, err := g.Attachment().Err, errors.New("it has no certificate yet")
	if s.current() != nil {
		err = r.attach(ctx, s.bundle())
	}
	now := Attachment{Err: err}
	if err == nil {
		g.metrics.attached.Set(1)
		scope.Check(ctx)
		now.Deviations = scope.Deviations()
	} else {
		g.metrics.attached.Set(0)
		if before == nil || withoutDigits(before) != withoutDigits(err) {
			g.log.Error("the API server does not ask the gate; it is tried again", "error", err)
		}
	}
	g.attachment.Store(&now)
	return err == nil
}

// withoutDigits is what two failures of one cause have in common: ports and times differ.
func withoutDigits(err error) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// attach tells the API server of the gate unless it knows. It goes on when ctx ends: what is
// written half would be unknown.
func (r *Running) attach(ctx context.Context, bundle []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attachLimit)
	defer cancel()
	api := r.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	there, err := api.Get(ctx, imagegate.Name, metav1.GetOptions{})
	switch {
	case err == nil && calls(there, r.Config.URL):
		return nil
	case err == nil:
		err = remove(ctx, r.Client, there) // what one that was killed left
	case apierrors.IsNotFound(err):
		err = nil
	}
	if err != nil {
		return err
	}
	config := r.Config
	config.CABundle = bundle
	validating := config.Validating()
	validating.Annotations = map[string]string{imagegate.AttachedAnnotation: "true"}
	_, err = api.Create(ctx, validating, metav1.CreateOptions{FieldManager: imagegate.Name})
	return err
}

// detach has the API server ask the gate no more.
func (r *Running) detach(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, attachLimit)
	defer cancel()
	if err := Detach(ctx, r.Client, r.Config.URL); err != nil && !errors.Is(err, ErrTaken) {
		log.Error("the gate's webhook configuration could not be removed", "error", err)
	}
}

// Detach removes the webhook configuration of the gate at the URL own, if there is any, and one
// that a gate wrote which attached itself and is gone. Nothing else is touched. The error wraps ErrTaken
// where another gate's is there, and one of which it is not known whether it is gone.
func Detach(ctx context.Context, client kubernetes.Interface, own string) error {
	there, err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, imagegate.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case calls(there, own):
		return deleted(ctx, client, there)
	}
	return remove(ctx, client, there)
}

// calls reports whether a configuration has the API server call the gate at a URL.
func calls(c *admissionregistrationv1.ValidatingWebhookConfiguration, own string) bool {
	return own != "" && slices.ContainsFunc(c.Webhooks, func(w admissionregistrationv1.ValidatingWebhook) bool {
		return w.ClientConfig.URL != nil && strings.HasPrefix(*w.ClientConfig.URL, own+"/")
	})
}

// remove removes a configuration that a gate wrote which attached itself, if that is gone.
func remove(ctx context.Context, client kubernetes.Interface, there *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	if !imagegate.Attached(there) || len(there.Webhooks) == 0 {
		return ErrTaken
	}
	for i := range there.Webhooks {
		if err := gone(ctx, &there.Webhooks[i].ClientConfig); err != nil {
			return err
		}
	}
	return deleted(ctx, client, there)
}

// deleted deletes a configuration as it was read.
func deleted(ctx context.Context, client kubernetes.Interface, there *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, imagegate.Name,
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &there.UID, ResourceVersion: &there.ResourceVersion}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the webhook configuration of a gate that has ended: %w", err)
	}
	return nil
}

// gone is nil if the server of a webhook is surely not there: nobody listens, or whoever has its port by
// now has not the key that the configuration's CA vouches for. One that is slow is there.
func gone(ctx context.Context, at *admissionregistrationv1.WebhookClientConfig) error {
	if at.URL == nil {
		return ErrTaken
	}
	u, err := url.Parse(*at.URL)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(at.CABundle)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", u.Host)
	var another *tls.CertificateVerificationError
	switch {
	case err == nil:
		_ = conn.Close()
		return ErrTaken
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &another):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: it did not answer within %s, and may be there\nhint: if it is not, kubectl delete validatingwebhookconfiguration %s", ErrTaken, answerLimit, imagegate.Name)
	}
	return fmt.Errorf("%w: whether it is there is not known: %w\nhint: if it is not, kubectl delete validatingwebhookconfiguration %s", ErrTaken, err, imagegate.Name)
}
