package audit

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// Webhook is what an API server has to be given so that it sends its events.
type Webhook struct {
	// URL is the sink's: https://HOST:PORT/NAME, with a name for the API server.
	URL string
	// CA are the certificates, in PEM, by which the API server knows the sink; nil where
	// its system's do.
	CA []byte
	// ClientCertificate and ClientKey are files on the API server's machine, or Token is
	// what it sends.
	ClientCertificate, ClientKey string
	Token                        string
}

// Kubeconfig is the file for --audit-webhook-config-file.
func (w Webhook) Kubeconfig() string {
	quote := func(s string) string {
		b, _ := json.Marshal(s) // a string can be marshalled
		return string(b)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Config
clusters:
- name: ledger
  cluster:
    server: %s
`, quote(w.URL))
	if len(w.CA) > 0 {
		fmt.Fprintf(&b, "    certificate-authority-data: %s\n", base64.StdEncoding.EncodeToString(w.CA))
	}
	b.WriteString("users:\n- name: kube-apiserver\n  user:")
	switch {
	case w.Token != "":
		fmt.Fprintf(&b, "\n    token: %s\n", quote(w.Token))
	case w.ClientCertificate != "":
		fmt.Fprintf(&b, "\n    client-certificate: %s\n    client-key: %s\n", quote(w.ClientCertificate), quote(w.ClientKey))
	default:
		b.WriteString(" {}\n")
	}
	b.WriteString(`contexts:
- name: ledger
  context: {cluster: ledger, user: kube-apiserver}
current-context: ledger
`)
	return b.String()
}

// WebhookFlags are the API server's flags beside the one that names the kubeconfig.
// Splitting batches keeps them under the sink's bound on a request: 400 events of the
// default maximum of an object would be over 1 GB.
var WebhookFlags = []string{
	"--audit-webhook-mode=batch",
	"--audit-webhook-batch-max-wait=5s",
	"--audit-webhook-truncate-enabled",
	"--audit-webhook-truncate-max-batch-size=10485760",
	"--audit-webhook-truncate-max-event-size=4194304",
}
