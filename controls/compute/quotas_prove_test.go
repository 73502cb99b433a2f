package compute

import (
	"net/http"
	"strings"
	"testing"

	"github.com/baileyhq/bailey/devcluster/devclustertest"
	"github.com/baileyhq/bailey/internal/provetest"
	"github.com/baileyhq/bailey/prove"
)

// quotaInForce waits until a pod that asks for very much is refused with the words.
func quotaInForce(t *testing.T, namespace, words string) {
	t.Helper()
	waitFor(t, func() string {
		_, refused := dryRunSpec(t, namespace, `{containers: [{name: c, image: i, resources: {requests: {cpu: 1k, memory: 1Ti}, limits: {cpu: 1k, memory: 1Ti}}}]}`)
		if refused != nil && strings.Contains(refused.Message, words) {
			return ""
		}
		return words + ": not in force"
	})
}

const (
	computeQuota = `{apiVersion: v1, kind: ResourceQuota, metadata: {name: compute}, spec: {hard: {pods: "10", requests.cpu: "2", requests.memory: 1Gi, limits.memory: 2Gi,
  gpu.example.com.deviceclass.resource.k8s.io/devices: "2"}}}`
	defaultRange = `{apiVersion: v1, kind: LimitRange, metadata: {name: defaults}, spec: {limits: [{type: Container,
  defaultRequest: {cpu: 50m, memory: 64Mi}, default: {cpu: 100m, memory: 64Mi}, min: {memory: 32Mi}, max: {cpu: "1", memory: 512Mi}}]}}`
)

func TestProveQuotas(t *testing.T) {
	cluster := devclustertest.Shared(t)
	for name, c := range map[string]struct {
		objects map[string]string
		words   string
		probes  int
	}{
		"quota":       {map[string]string{"resourcequotas": computeQuota}, "exceeded quota", 3 + 2*4 + 1},
		"limit range": {map[string]string{"limitranges": defaultRange}, "maximum", 3 + 2*4},
		"both":        {map[string]string{"resourcequotas": computeQuota, "limitranges": defaultRange}, "maximum", 3 + 2*2 + 2*4 + 1},
	} {
		t.Run(name, func(t *testing.T) {
			ns := devclustertest.Namespace(t, nil)
			createPodNamed(t, ns, "app", strings.Replace(compliantPod, "memory: 16Mi", "memory: 32Mi", 1))
			for plural, text := range c.objects {
				createQuotaObject(t, ns, plural, text)
			}
			quotaInForce(t, ns, c.words)
			records := provetest.Run(t, cluster, Quotas, provetest.Options{Namespace: ns})
			provetest.AllHeld(t, records)
			if got := len(provetest.Outcomes(records)); got != c.probes {
				t.Errorf("%d probes, not %d:\n%s", got, c.probes, provetest.Text(records))
			}
		})
	}
}

// TestProveQuotasGone plans with the bounds and runs without one of them.
func TestProveQuotasGone(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	createPodNamed(t, ns, "app", compliantPod)
	createQuotaObject(t, ns, "resourcequotas", computeQuota)
	createQuotaObject(t, ns, "limitranges", strings.Replace(defaultRange, "min: {memory: 32Mi}, ", "", 1))
	quotaInForce(t, ns, "maximum")
	snapshot := provetest.Collect(t, cluster)
	if err := cluster.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/"+ns+"/limitranges/defaults", nil, nil); err != nil {
		t.Fatal(err)
	}
	quotaInForce(t, ns, "exceeded quota")
	records := provetest.Run(t, cluster, Quotas, provetest.Options{Namespace: ns, Snapshot: snapshot})
	provetest.Want(t, records, map[string]prove.Outcome{"more * than a container may have*": prove.Broken})
}

// TestProveQuotasOff: where the quota does not refuse, a LimitRange that bounds the
// same pods is no quota.
func TestProveQuotasOff(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	createPodNamed(t, ns, "app", strings.Replace(compliantPod, "memory: 16Mi", "memory: 32Mi", 1))
	createQuotaObject(t, ns, "resourcequotas", computeQuota)
	createQuotaObject(t, ns, "limitranges", defaultRange)
	quotaInForce(t, ns, "maximum")
	snapshot := provetest.Collect(t, cluster)
	if err := cluster.Do(t.Context(), http.MethodDelete, "/api/v1/namespaces/"+ns+"/resourcequotas/compute", nil, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() string {
		most := `, image: i, resources: {requests: {cpu: "1", memory: 512Mi}, limits: {cpu: "1", memory: 512Mi}}}`
		if _, refused := dryRunSpec(t, ns, `{containers: [{name: a`+most+`, {name: b`+most+`, {name: c`+most+`]}`); refused != nil {
			return refused.Message
		}
		return ""
	})
	records := provetest.Run(t, cluster, Quotas, provetest.Options{Namespace: ns, Snapshot: snapshot})
	provetest.Want(t, records, map[string]prove.Outcome{"more * than the quota*": prove.Broken, "more devices *": prove.Broken})
}

// TestProveQuotasFull wants no answer where the quota refuses the twin too.
func TestProveQuotasFull(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	createQuotaObject(t, ns, "resourcequotas", `{apiVersion: v1, kind: ResourceQuota, metadata: {name: compute}, spec: {hard: {pods: "1", requests.memory: 1Gi, limits.memory: 1Gi}}}`)
	quotaInForce(t, ns, "exceeded quota")
	createPodNamed(t, ns, "app", compliantPod) // counted at once, as it comes after the quota
	records := provetest.Run(t, cluster, Quotas, provetest.Options{Namespace: ns})
	for name, outcome := range provetest.Outcomes(records) {
		if want := strings.Contains(name, "resize"); (outcome == prove.Held) != want || !want && outcome != prove.Inconclusive {
			t.Errorf("%s: %s where the quota is full", name, outcome)
		}
	}
}

func TestProveQuotasNothingToTry(t *testing.T) {
	cluster := devclustertest.Shared(t)
	ns := devclustertest.Namespace(t, nil)
	if p := provetest.Plan(t, cluster, Quotas, provetest.Options{Namespace: ns}); len(p.Units) > 0 {
		t.Errorf("%d units without a bound", len(p.Units))
	}
}
