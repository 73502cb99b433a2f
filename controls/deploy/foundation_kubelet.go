package deploy

import (
	"time"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var kubeletsHardened = settings.New(settings.Guard{
	Name:  "kubelet-settings",
	Title: "Kubelets run with what the CIS Benchmark asks for",
	Doc: `A drop-in file of KubeletConfiguration: no strangers and no read-only port, the API server asked about each
request, certificates that are renewed, seccomp by default, a bound on processes, no profiling, and images that
private registries gave to one pod not given to others for nothing. What a kubelet runs with is read at the kubelet
(--kubelet-configz); a guard that is in place has been seen on every node.`,
	Parts: []settings.Part{{Kind: bailey.KindKubelet, Wants: kubeletWants}},
})

// field wants a field of the kubelet's configuration, and takes any other value for as
// good that the function given does.
func field(name string, value any, why string, good func(seen any) bool) settings.Want {
	w := settings.Want{Setting: bailey.Setting{Field: name, Value: value, Why: why}}
	if good != nil {
		w.Holds = func(c *bailey.Component) bool { return good(settings.Field(c.Config, name)) }
	}
	return w
}

func kubeletWants(seen *bailey.Component, _ bailey.Version) []settings.Want {
	// A kubelet leaves out what is at its zero value.
	off := func(seen any) bool { return seen == nil || seen == false }
	number := func(seen any) int64 {
		switch n := seen.(type) {
		case int64:
			return n
		case float64:
			return int64(n)
		}
		return 0
	}
	wants := []settings.Want{
		field("authentication.anonymous.enabled", false, "Strangers run no commands in pods (CIS 4.2.1).", off),
		field("authentication.webhook.enabled", true, "Tokens are asked about at the API server.", nil),
		field("authorization.mode", "Webhook", "The API server is asked whether (CIS 4.2.2).", nil),
		field("readOnlyPort", 0, "The port asks for no credential (CIS 4.2.4).", func(seen any) bool { return number(seen) == 0 }),
		field("rotateCertificates", true, "Client certificates are renewed before they end (CIS 4.2.10).", nil),
		field("protectKernelDefaults", true, "The kubelet does not change the kernel's settings behind the machine's back.", nil),
		field("makeIPTablesUtilChains", true, "The kubelet keeps its rules as they must be (CIS 4.2.6).", func(seen any) bool { return seen != false }),
		field("streamingConnectionIdleTimeout", "5m0s", "An exec that nobody uses ends (CIS 4.2.5).", bounded),
		field("eventRecordQPS", 50, "Events are kept, and cannot flood the API server (CIS 4.2.8).", func(seen any) bool { return number(seen) > 0 }),
		field("podPidsLimit", 4096, "One pod cannot use up a node's processes (CIS 4.2.13).", func(seen any) bool { return number(seen) > 0 }),
		field("seccompDefault", true, "A pod that asks for no profile has the runtime's (CIS 4.2.14).", nil),
		field("enableProfilingHandler", false, "Profiles show what the kubelet works on.", off),
		field("enableDebugFlagsHandler", false, "Nobody changes a kubelet's verbosity from outside.", off),
	}
	for i := range wants {
		switch wants[i].Setting.Field {
		case "protectKernelDefaults":
			wants[i].Note = "a kubelet does not start where the kernel's settings differ: set vm.overcommit_memory=1, vm.panic_on_oom=0, kernel.panic=10, kernel.panic_on_oops=1 first"
		case "seccompDefault":
			wants[i].Note = "pods that use system calls that the runtime's profile forbids fail after their next start"
		}
	}
	serving := field("serverTLSBootstrap", true, "The kubelet serves a certificate that the cluster's authority signed (CIS 4.2.11).", nil)
	serving.Note = "somebody must approve the kubelets' requests for certificates, or they serve nothing"
	serving.Holds = func(c *bailey.Component) bool {
		// One that is given a certificate asks for none.
		return settings.Field(c.Config, "serverTLSBootstrap") == true || settings.Text(settings.Field(c.Config, "tlsCertFile")) != ""
	}
	wants = append(wants, serving)
	// An older kubelet than the API server does not start with it: before 1.35 it is behind a feature gate.
	if v, err := bailey.ParseVersion(versionOf(seen)); err == nil && v.AtLeast(1, 35) {
		wants = append(wants, field("imagePullCredentialsVerificationPolicy", "NeverVerifyPreloadedImages",
			"A pod does not get an image that only another's credential could pull.", func(seen any) bool {
				return seen != nil && seen != "NeverVerify"
			}))
	}
	return wants
}

// bounded takes a duration that is neither without end nor over a day.
func bounded(seen any) bool {
	text, _ := seen.(string)
	d, err := time.ParseDuration(text)
	return err == nil && d > 0 && d <= 24*time.Hour
}

// versionOf is the version of a component that was seen; empty for none.
func versionOf(c *bailey.Component) string {
	if c == nil {
		return ""
	}
	return c.Version
}
