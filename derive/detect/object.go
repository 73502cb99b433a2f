package detect

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strconv"
	"strings"

	"github.com/baileyhq/bailey"
)

// Object is what detections read of the object or patch that was sent. A patch
// shows only what it touches. It is built to be read without errors: what is
// of another form than the API's is as if it were absent, since the API server
// refuses it.
type Object struct {
	// Known tells whether the event holds the request's body.
	Known bool `cel:"known"`
	// Whole tells an object from a patch of a part: it names its kind. (A
	// server-side apply does too, and leaves out what it does not own.)
	Whole bool `cel:"whole"`

	Labels        map[string]string `cel:"labels"`
	RemovedLabels []string          `cel:"removedLabels"`
	Annotations   map[string]string `cel:"annotations"`

	// Of pods and of what makes pods, all containers together.
	Privileged     bool     `cel:"privileged"`
	HostPaths      []string `cel:"hostPaths"`
	HostNamespaces []string `cel:"hostNamespaces"`

	// Of roles and bindings.
	Rules    []PolicyRule `cel:"rules"`
	Role     string       `cel:"role"`     // "ClusterRole/cluster-admin"
	Subjects []string     `cel:"subjects"` // "Group/system:masters"

	// Of certificate signing requests.
	Signer        string   `cel:"signer"`
	CommonName    string   `cel:"commonName"`
	Organizations []string `cel:"organizations"`

	// Namespaces are those of the Services that admission webhooks call; URLs
	// are webhooks elsewhere.
	Namespaces []string `cel:"namespaces"`
	URLs       []string `cel:"urls"`

	// Of access reviews: whose access to what.
	ReviewUser     string `cel:"reviewUser"`
	ReviewVerb     string `cel:"reviewVerb"`
	ReviewResource string `cel:"reviewResource"`
}

// PolicyRule is one rule of a role.
type PolicyRule struct {
	Verbs     []string `cel:"verbs"`
	Groups    []string `cel:"groups"`
	Resources []string `cel:"resources"`
}

// project reads the body of a request.
func project(body json.RawMessage) *Object {
	o := &Object{}
	if len(body) == 0 || bytes.Equal(body, []byte("null")) {
		return o
	}
	var value any
	if json.Unmarshal(body, &value) != nil {
		return o
	}
	o.Known = true
	if operations, ok := value.([]any); ok {
		for _, op := range operations {
			for _, part := range operation(op) {
				o.add(part)
			}
		}
		return o
	}
	o.Whole = text(at(value, "kind")) != ""
	o.add(value)
	return o
}

// deepestPatch is how many steps the path of a JSON patch may have.
const deepestPatch = 64

// unknownText stands for a text that the event does not show.
const unknownText = "?"

// unknown stands for a value that the event does not show: a JSON patch may take it from elsewhere in
// the object. Whoever reads it takes it for the worst.
type unknown struct{}

// operation turns one operation of a JSON patch into the parts of an object that
// it sets: lists have one entry, and null stands for what it removes.
func operation(op any) []any {
	path := text(at(op, "path"))
	switch text(at(op, "op")) {
	case "add", "replace":
		return []any{patchPart(path, at(op, "value"))}
	case "remove":
		return []any{patchPart(path, nil)}
	case "copy":
		return []any{patchPart(path, unknown{})}
	case "move":
		return []any{patchPart(text(at(op, "from")), nil), patchPart(path, unknown{})}
	}
	return nil
}

// patchPart is the part of an object with a value at a path.
func patchPart(path string, part any) any {
	if strings.Count(path, "/") > deepestPatch {
		return part
	}
	steps := bailey.PointerPath(path)
	for i := len(steps) - 1; i >= 0; i-- {
		if _, err := strconv.Atoi(steps[i]); err == nil || steps[i] == "-" {
			part = []any{part}
			continue
		}
		part = map[string]any{steps[i]: part}
	}
	return part
}

func (o *Object) add(v any) {
	o.metadata(at(v, "metadata"))
	// A pod, a workload, a CronJob, and a PodTemplate, in this order.
	for _, spec := range []any{at(v, "spec"), at(v, "spec", "template", "spec"), at(v, "spec", "jobTemplate", "spec", "template", "spec"), at(v, "template", "spec")} {
		o.pod(spec)
	}
	for _, r := range list(at(v, "rules")) {
		o.Rules = append(o.Rules, PolicyRule{texts(at(r, "verbs")), texts(at(r, "apiGroups")), texts(at(r, "resources"))})
	}
	if name := text(at(v, "roleRef", "name")); name != "" {
		o.Role = text(at(v, "roleRef", "kind")) + "/" + name
	}
	for _, s := range list(at(v, "subjects")) {
		o.Subjects = append(o.Subjects, text(at(s, "kind"))+"/"+text(at(s, "name")))
	}
	o.certificate(at(v, "spec"))
	for _, w := range list(at(v, "webhooks")) {
		if url := text(at(w, "clientConfig", "url")); url != "" {
			o.URLs = append(o.URLs, url)
		}
		if namespace := text(at(w, "clientConfig", "service", "namespace")); namespace != "" {
			o.Namespaces = append(o.Namespaces, namespace)
		}
	}
	if review := at(v, "spec", "resourceAttributes"); review != nil {
		o.ReviewUser, o.ReviewVerb = text(at(v, "spec", "user")), text(at(review, "verb"))
		o.ReviewResource = text(at(review, "resource"))
		if sub := text(at(review, "subresource")); sub != "" {
			o.ReviewResource += "/" + sub
		}
	}
}

func (o *Object) metadata(meta any) {
	labels, ok := at(meta, "labels").(map[string]any)
	if !ok && at(meta, "labels") == (unknown{}) {
		labels = map[string]any{LabelEnforce: unknown{}}
	}
	for key, value := range labels {
		if value == nil {
			o.RemovedLabels = append(o.RemovedLabels, key)
		} else if s := text(value); s != "" || value == "" {
			if o.Labels == nil {
				o.Labels = map[string]string{}
			}
			o.Labels[key] = s
		}
	}
	annotations, _ := at(meta, "annotations").(map[string]any)
	for key, value := range annotations {
		if o.Annotations == nil {
			o.Annotations = map[string]string{}
		}
		o.Annotations[key] = text(value)
	}
}

func (o *Object) pod(spec any) {
	for _, field := range []string{"containers", "initContainers", "ephemeralContainers"} {
		for _, c := range list(at(spec, field)) {
			if isSet(at(c, "securityContext", "privileged")) {
				o.Privileged = true
			}
			if isSet(at(c, "securityContext", "windowsOptions", "hostProcess")) {
				o.Privileged = true
			}
		}
	}
	if isSet(at(spec, "securityContext", "windowsOptions", "hostProcess")) {
		o.Privileged = true
	}
	for _, field := range []string{"hostPID", "hostIPC", "hostNetwork"} {
		if isSet(at(spec, field)) {
			o.HostNamespaces = append(o.HostNamespaces, field)
		}
	}
	for _, v := range list(at(spec, "volumes")) {
		if path := text(at(v, "hostPath", "path")); path != "" {
			o.HostPaths = append(o.HostPaths, path)
		}
	}
}

// certificate reads whom a certificate signing request names.
func (o *Object) certificate(spec any) {
	signer := text(at(spec, "signerName"))
	if signer == "" {
		return
	}
	o.Signer = signer
	der, err := base64.StdEncoding.DecodeString(text(at(spec, "request")))
	if err != nil {
		return
	}
	block, _ := pem.Decode(der)
	if block == nil {
		return
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return
	}
	o.CommonName, o.Organizations = request.Subject.CommonName, request.Subject.Organization
}

// isSet reports whether a flag is true, or may be.
func isSet(v any) bool { return v == true || v == (unknown{}) }

// at follows keys into maps; nil where there is none. What is in an unknown value is unknown.
func at(v any, keys ...string) any {
	for _, key := range keys {
		if v == (unknown{}) {
			return v
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func text(v any) string {
	if v == (unknown{}) {
		return unknownText
	}
	s, _ := v.(string)
	return s
}

func list(v any) []any {
	if v == (unknown{}) {
		return []any{v}
	}
	l, _ := v.([]any)
	return l
}

func texts(v any) []string {
	var all []string
	for _, item := range list(v) {
		if s := text(item); s != "" || item == "" {
			all = append(all, s)
		}
	}
	return all
}
