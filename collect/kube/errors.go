package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"
	"unicode"

	"k8s.io/client-go/rest"

	"github.com/baileyhq/bailey"
)

// short makes one printable line of at most 300 bytes out of what a server said.
func short(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + " ..."
	}
	return text
}

// passes reports whether a request that got no answer may get one when it is
// sent again: not when a deadline passed, a name does not resolve, or
// certificates do not match.
func passes(err error) bool {
	var (
		lookup      *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errTooLarge),
		errors.As(err, &lookup) && !lookup.Temporary(), errors.As(err, &certificate), errors.As(err, &alert):
		return false
	case strings.Contains(err.Error(), "getting credentials"):
		return false
	}
	return true
}

// unreachable explains why nothing could be asked of the API server at all.
func (s *session) unreachable(err error) error {
	where := "the API server " + s.client.base.String()
	kubectl := "kubectl"
	if s.context != "" {
		where += fmt.Sprintf(" (context %q)", s.context)
		kubectl += " --context " + s.context
	}
	var (
		lookup      *net.DNSError
		unknown     x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		record      tls.RecordHeaderError
		status      *statusError
		what        = "cannot reach " + where
		expiry      = clientCertificateExpiry(s.config)
		certExpired = !expiry.IsZero() && expiry.Before(time.Now())
	)
	switch {
	case errors.As(err, &status) && status.code == http.StatusUnauthorized && certExpired, errors.As(err, new(tls.AlertError)) && certExpired:
		return fmt.Errorf("%s does not accept the client certificate, which expired on %s\nhint: get a new one from whoever gave you this kubeconfig (kubeadm: `kubeadm certs renew`)", where, expiry.Format(time.DateOnly))
	case errors.As(err, &status) && status.code == http.StatusUnauthorized:
		return fmt.Errorf("%s does not accept the credentials: %w\nhint: log in again, then check with `%s auth whoami`", where, err, kubectl)
	case errors.As(err, &status) && status.code == http.StatusForbidden:
		return fmt.Errorf("%s does not tell which APIs it serves: %w\nhint: bind the ClusterRole system:discovery to this identity", where, err)
	case errors.As(err, &status):
		return fmt.Errorf("%s cannot be read: %w\nhint: is this the address of a Kubernetes API server? `%s version`", where, err, kubectl)
	case strings.Contains(err.Error(), "getting credentials"):
		return fmt.Errorf("%s: no credentials: %s\nhint: run the login command of your provider, then check with `%s auth whoami`", where, short(err.Error()), kubectl)
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: its certificate is not signed by the CA of the kubeconfig: %w\nhint: take the kubeconfig again from the cluster; the cluster may have been made anew", what, err)
	case errors.As(err, &hostname):
		return fmt.Errorf("%s: its certificate is for other names: %w\nhint: use a name or address that the certificate lists, or set tls-server-name in the kubeconfig", what, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s: its certificate is not valid: %w\nhint: renew the certificate of the API server, and check the clock of this machine", what, err)
	case errors.As(err, &record):
		return fmt.Errorf("%s: it does not speak TLS: %w\nhint: check the scheme and port in the kubeconfig", what, err)
	case errors.As(err, &lookup):
		return fmt.Errorf("%s: %w\nhint: is the VPN on, and the name right? `%s version`", what, err, kubectl)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errGone):
		return fmt.Errorf("%s: %w\nhint: is the cluster running? `%s version`", what, err, kubectl)
	}
	return fmt.Errorf("%s: %w\nhint: `%s version` shows whether others can", what, err, kubectl)
}

// clientCertificateExpiry gives the end of the client certificate's validity;
// zero when there is none or it cannot be read.
func clientCertificateExpiry(config *rest.Config) time.Time {
	text := config.CertData
	if len(text) == 0 && config.CertFile != "" {
		var err error
		if text, err = os.ReadFile(config.CertFile); err != nil {
			return time.Time{}
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return certificate.NotAfter
}

var userPattern = regexp.MustCompile(`User "([^"]{1,256})"`)

// missing says why a list, or one object if a name is given, was not read.
func missing(r resource, namespace, name string, err error) bailey.Missing {
	m := bailey.Missing{Kind: r.factKind(), Namespace: namespace, Name: name, Reason: bailey.ReasonUnreadable}
	verb, scope := "list", "at cluster scope"
	if r.namespaced && namespace != "" {
		scope = "in the namespace " + namespace
	}
	what := r.String()
	if name != "" {
		verb = "get"
		what += "/" + name
	}
	if !hasCode(err, http.StatusForbidden) {
		m.Detail = verb + " " + what + " " + scope + ": " + short(err.Error())
		m.Hint = "scan again; if it fails again, look at the API server's log and `kubectl get apiservices`"
		return m
	}
	m.Reason = bailey.ReasonForbidden
	who := "this identity"
	var s *statusError
	errors.As(err, &s)
	if match := userPattern.FindStringSubmatch(s.message); match != nil {
		who = fmt.Sprintf("%q", match[1])
	}
	m.Detail = fmt.Sprintf("%s %s %s is forbidden for %s", verb, what, scope, who)
	role := "a ClusterRole"
	if r.namespaced && namespace != "" {
		role = "a Role of the namespace " + namespace
	}
	m.Hint = fmt.Sprintf(`bind %s with the rule {apiGroups: [%q], resources: [%q], verbs: [%q]} to %s`, role, r.group, r.plural, verb, who)
	return m
}
