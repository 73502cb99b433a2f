package distribute

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/controls/internal/settings"
)

var registryAccessRules = []*bailey.Rule{openImageCache}

const neverVerify = "NeverVerify"

// verifies is the image credential policy of a kubelet: by its configuration, else by its
// version, which its node knows too; empty where nothing says, and then the node is missing.
func verifies(view *bailey.View, c *bailey.Component) string {
	if policy, _ := settings.Field(c.Config, "imagePullCredentialsVerificationPolicy").(string); policy != "" {
		return policy
	}
	version := c.Version
	if version == "" {
		if node, ok := bailey.As[*corev1.Node](view.Get(bailey.KindNode, "", c.Node)); ok {
			version = node.Status.NodeInfo.KubeletVersion
		}
	}
	v, err := bailey.ParseVersion(version)
	switch {
	case err != nil:
		return ""
	case v.AtLeast(1, 35):
		return "NeverVerifyPreloadedImages"
	}
	return neverVerify
}

var openImageCache = &bailey.Rule{
	Name:  "image-cache-open",
	Title: "Whoever runs a pod uses every image that its node holds",
	Doc: `A pod with pull policy IfNotPresent gets an image that another tenant's credentials pulled, unless the kubelet
verifies that this pod could pull it too (imagePullCredentialsVerificationPolicy, which is so by default since 1.35),
or the API server's plugin AlwaysPullImages makes every pod pull. Who runs no private images for several tenants can
let it be.`,
	Severity: bailey.SeverityLow,
	Refs: []bailey.Reference{ref.CIS("1.2.11", "Images are pulled with the pod's own credentials each time"),
		ref.Kubernetes("concepts/containers/images/", "Images"), ref.NIST("AC-3")},
	On:    []bailey.Kind{bailey.KindAPIServer},
	Needs: []bailey.Kind{bailey.KindKubelet, bailey.KindNode},
	Check: func(v *bailey.View, f *bailey.Fact) []bailey.Finding {
		server, ok := bailey.As[*bailey.Component](f)
		if !ok || slices.Contains(settings.List(server, "enable-admission-plugins"), "AlwaysPullImages") {
			return nil
		}
		open, first := 0, ""
		for _, k := range v.List(bailey.KindKubelet, "") {
			if c, ok := bailey.As[*bailey.Component](k); ok && verifies(v, c) == neverVerify {
				open++
				if first == "" {
					first = k.Name
				}
			}
		}
		if open == 0 {
			return nil
		}
		return []bailey.Finding{{Field: "--enable-admission-plugins", Message: fmt.Sprintf("%d kubelets (%s first) give any pod the images that they hold, and AlwaysPullImages is off", open, first)}}
	},
	Bad: []string{"apiVersion: bailey.dev/v1\nkind: KubeAPIServer\nmetadata: {name: node-1}\nflags: {enable-admission-plugins: NodeRestriction}\n---\n" +
		"apiVersion: bailey.dev/v1\nkind: Kubelet\nmetadata: {name: node-1}\nconfig: {imagePullCredentialsVerificationPolicy: NeverVerify}\n"},
}
