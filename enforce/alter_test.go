package enforce_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls"
	"github.com/baileyhq/bailey/enforce"
)

// TestImpactOfDefaults: the plan says what the mutating policies would make of what is
// there, and of nothing in a namespace that does not ask for them.
func TestImpactOfDefaults(t *testing.T) {
	b := bailey.NewBuilder(bailey.Meta{Medium: "cluster", Version: bailey.LatestVersion})
	for _, k := range bailey.KnownKinds() {
		b.Saw(k, "")
	}
	for name, level := range map[string]string{"shop": "confined", "bank": "restricted", "other": ""} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"bailey.dev/defaults": level}}}
		b.Add(&bailey.Fact{Ref: bailey.Ref{Kind: bailey.KindNamespace, Name: name}, APIVersion: "v1", Labels: ns.Labels, Object: ns})
	}
	s := b.Snapshot()
	plan, err := enforce.Make(s, controls.All(), "defaults")
	if err != nil {
		t.Fatal(err)
	}
	judge, err := enforce.NewJudge(s, plan)
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	open := func() *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}, {Name: "b", Image: "b", SecurityContext: &corev1.SecurityContext{Privileged: &yes}}}}}
	}
	settled := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
		Containers: []corev1.Container{{Name: "a", Image: "a", SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"NET_RAW"}}}}}}}
	looked := 0
	look := func(namespace, name string, pod *corev1.Pod) {
		t.Helper()
		pod = pod.DeepCopy()
		pod.Namespace, pod.Name = namespace, name
		if err := judge.Look(t.Context(), "v1", "Pod", pod); err != nil {
			t.Fatal(err)
		}
		looked++
		if name == "open" && pod.Spec.SecurityContext != nil {
			t.Error("the object itself was changed")
		}
	}
	for _, namespace := range []string{"shop", "bank", "other"} {
		look(namespace, "open", open())
		look(namespace, "settled", settled)
	}
	made := open()
	made.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", Controller: &yes}}
	look("shop", "made", made)
	told := func(policy string) string {
		e := judge.Impact()[policy]
		if e == nil || e.Judged != looked-1 || len(e.Undecided)+len(e.Unseen) > 0 {
			t.Fatalf("%s: %+v", policy, e)
		}
		var all []string
		for _, a := range e.Altered {
			for _, f := range a.Fields {
				all = append(all, fmt.Sprintf("%s/%s %s=%v", a.Object.Namespace, a.Object.Name, f.Field, f.Is))
			}
		}
		return strings.Join(all, "\n")
	}
	const confined = `bank/open spec.containers[0].securityContext.allowPrivilegeEscalation=false
bank/open spec.securityContext.seccompProfile.type=RuntimeDefault
shop/open spec.containers[0].securityContext.allowPrivilegeEscalation=false
shop/open spec.securityContext.seccompProfile.type=RuntimeDefault`
	if got := told("bailey-defaults-confined"); got != confined {
		t.Errorf("confined:\n%s", got)
	}
	const restricted = `bank/open spec.containers[0].securityContext.capabilities.drop=[ALL]
bank/open spec.securityContext.runAsNonRoot=true`
	if got := told("bailey-defaults-restricted"); got != restricted {
		t.Errorf("restricted:\n%s", got)
	}
}
