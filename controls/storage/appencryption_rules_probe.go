package storage

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/workload"
)

var secretInProbe = &bailey.Rule{
	Name:  "secret-in-probe",
	Title: "Probe or lifecycle hook holds a secret",
	Doc: `Reads the headers and commands of probes and lifecycle hooks. A probe that must log in is often given a real
user's credential, in a place that is reviewed less than the environment.` + howJudged,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{secretPractice, hardcoded},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for c := range w.Containers() {
			for _, p := range [...]struct {
				field, of string
				probe     *corev1.Probe
			}{
				{".livenessProbe", "liveness probe: ", c.LivenessProbe},
				{".readinessProbe", "readiness probe: ", c.ReadinessProbe},
				{".startupProbe", "startup probe: ", c.StartupProbe},
			} {
				if p.probe != nil {
					found = judgeHandler(found, c, p.field, p.of, p.probe.Exec, p.probe.HTTPGet)
				}
			}
			if c.Lifecycle == nil {
				continue
			}
			if h := c.Lifecycle.PostStart; h != nil {
				found = judgeHandler(found, c, ".lifecycle.postStart", "hook after start: ", h.Exec, h.HTTPGet)
			}
			if h := c.Lifecycle.PreStop; h != nil {
				found = judgeHandler(found, c, ".lifecycle.preStop", "hook before stop: ", h.Exec, h.HTTPGet)
			}
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers:
  - name: app
    image: app
    livenessProbe: {httpGet: {port: 80, httpHeaders: [{name: Authorization, value: "Basic YWRtaW46RmFrZS1odW50ZXIy"}]}}
`},
}

func judgeHandler(found []bailey.Finding, c workload.Container, field, of string, exec *corev1.ExecAction, get *corev1.HTTPGetAction) []bailey.Finding {
	if exec != nil {
		found = judgeArguments(found, c, field+".exec.command", of, exec.Command)
	}
	if get == nil {
		return found
	}
	for i := range get.HTTPHeaders {
		h := &get.HTTPHeaders[i]
		severity, what := judgeValue(h.Name, h.Value, inArgument)
		if severity == bailey.SeverityNone && carriesLogin(h.Name) && holdsLogin(h.Value) {
			severity, what = bailey.SeverityMedium, "carries a login"
		}
		if severity == bailey.SeverityNone {
			continue
		}
		at := field + ".httpGet.httpHeaders["
		found = append(found, bailey.Finding{
			Field:    c.Field(at + strconv.Itoa(i) + "].value"),
			Named:    c.Named(at + h.Name + "].value"),
			Severity: severity,
			Message:  "container " + c.Name + ": " + of + "header " + h.Name + " " + what,
		})
	}
	return found
}

func carriesLogin(header string) bool {
	return strings.EqualFold(header, "Authorization") || strings.EqualFold(header, "Proxy-Authorization")
}

func holdsLogin(value string) bool {
	switch class, _ := bailey.ClassOf(value); class {
	case bailey.ClassOpaque, bailey.ClassHash, bailey.ClassText, bailey.ClassWord:
		return true
	}
	return false
}
