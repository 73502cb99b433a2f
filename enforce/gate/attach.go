package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/baileyhq/bailey/derive/imagegate"
)

// ErrTaken tells that the cluster has a webhook configuration of the gate's name that no
// attached gate wrote: somebody has installed one.
var ErrTaken = errors.New("another gate is installed in the cluster, as ValidatingWebhookConfiguration " + imagegate.Name)

// attachLimit bounds the questions and changes of one step.
const attachLimit = 5 * time.Second

// attach tells the API server of the gate, and reports whether that is done. It goes on when
// ctx ends: what is written half would be unknown.
func (r *Running) attach(ctx context.Context, log *slog.Logger, bundle []byte) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attachLimit)
	defer cancel()
	err := Detach(ctx, r.Client, "") // what one that was killed left
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

// Detach removes the webhook configuration that a gate wrote which attached itself: the one
// that calls the URL, or any if that is empty. Nothing else is touched. The error wraps ErrTaken where
// somebody else's is there.
func Detach(ctx context.Context, client kubernetes.Interface, url string) error {
	api := client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	there, err := api.Get(ctx, imagegate.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case !imagegate.Attached(there):
		return ErrTaken
	case url != "" && !calls(there, url):
		return nil
	}
	err = api.Delete(ctx, imagegate.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &there.UID, ResourceVersion: &there.ResourceVersion}})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("remove the webhook configuration of a gate that has ended: %w", err)
	}
	return nil
}

// calls reports whether the first webhook is served below the URL.
func calls(c *admissionregistrationv1.ValidatingWebhookConfiguration, url string) bool {
	return len(c.Webhooks) > 0 && c.Webhooks[0].ClientConfig.URL != nil && strings.HasPrefix(*c.Webhooks[0].ClientConfig.URL, url+"/")
}
