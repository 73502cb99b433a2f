package object

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// injected begins the name of the volume in which the API server gives a pod its token.
	// Five random letters follow.
	injected = "kube-api-access-"
	// injectedName is the name that it gets.
	injectedName = injected + "token"
)

// nameInjected gives the volume of a pod's token a name that is the same in all pods: it would
// be all that pods of one template differ in.
func nameInjected(p *corev1.PodSpec) {
	for i := range p.Volumes {
		v := &p.Volumes[i]
		if v.Projected == nil || len(v.Name) != len(injectedName) || !strings.HasPrefix(v.Name, injected) {
			continue
		}
		old := v.Name
		v.Name = injectedName
		for _, list := range [...][]corev1.Container{p.InitContainers, p.Containers} {
			for k := range list {
				renameMounts(list[k].VolumeMounts, old)
			}
		}
		for k := range p.EphemeralContainers {
			renameMounts(p.EphemeralContainers[k].VolumeMounts, old)
		}
		return // there is one
	}
}

func renameMounts(mounts []corev1.VolumeMount, old string) {
	for i := range mounts {
		if mounts[i].Name == old {
			mounts[i].Name = injectedName
		}
	}
}
