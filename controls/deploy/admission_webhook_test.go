package deploy

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// startWebhook serves a validating webhook for namespaces with the label, which
// refuses privileged pods but for each passing-th request for one; none passes if
// that is zero.
func startWebhook(t *testing.T, name string, passing int) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	refused := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		var pod corev1.Pod
		data, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err == nil {
			err = json.Unmarshal(data, &review)
		}
		if err == nil {
			err = json.Unmarshal(review.Request.Object.Raw, &pod)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
		if isPrivileged(&pod.Spec) {
			mu.Lock()
			refused++
			answer.Allowed = passing > 0 && refused%passing == 0
			mu.Unlock()
			answer.Result = &metav1.Status{Message: "not here"}
		}
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: answer})
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	create(t, "validatingwebhookconfigurations", `{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: `+name+`}, webhooks: [
  {name: `+name+`.example.com, admissionReviewVersions: [v1], sideEffects: None, timeoutSeconds: 5,
   clientConfig: {url: "`+server.URL+`", caBundle: `+base64.StdEncoding.EncodeToString(ca)+`},
   namespaceSelector: {matchLabels: {`+gated+`: `+name+`}}, rules: [`+everyPod+`]}]}`)
	return server
}

func isPrivileged(s *corev1.PodSpec) bool {
	containers := append(append([]corev1.Container{}, s.InitContainers...), s.Containers...)
	for i := range s.EphemeralContainers {
		containers = append(containers, corev1.Container(s.EphemeralContainers[i].EphemeralContainerCommon))
	}
	for i := range containers {
		if c := containers[i].SecurityContext; c != nil && c.Privileged != nil && *c.Privileged {
			return true
		}
	}
	return false
}

func TestProveAdmissionWebhook(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := gatedNamespaces(t, "webhook", 1)[0]
	server := startWebhook(t, "webhook", 0)
	awaitGate(t, ns, ordinaryPod(privileged), "denied the request")
	provetest.Want(t, provetest.Run(t, cluster, Admission, provetest.Options{}), unclaimed(nil))

	// With its server down everything is refused, which shows nothing.
	server.Close()
	awaitGate(t, ns, ordinaryPod(privileged), "failed calling webhook")
	provetest.Want(t, provetest.Run(t, cluster, Admission, provetest.Options{}), map[string]prove.Outcome{"*": prove.Inconclusive})
}

// TestProveAdmissionLeakyWebhook lets every fourth request pass: the tries of a
// dry-run experiment find it in each way.
func TestProveAdmissionLeakyWebhook(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := gatedNamespaces(t, "leaky", 1)[0]
	startWebhook(t, "leaky", 4)
	awaitGate(t, ns, ordinaryPod(privileged), "denied the request")
	provetest.Want(t, provetest.Run(t, cluster, Admission, provetest.Options{Repeat: 16}), unclaimed(map[string]prove.Outcome{"privileged*": prove.Broken}))
}
