package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/kube"
	"github.com/baileyhq/bailey/deploy"
	"github.com/baileyhq/bailey/deploy/install"
	"github.com/baileyhq/bailey/enforce/apply"
	"github.com/baileyhq/bailey/prove"
)

// releaseName is that of the installation: its objects are named after it.
const releaseName = "bailey"

type installFlags struct {
	kubeconfig, context string
	namespace           string
	values, sets        []string
	apply, uninstall    bool
	rights              bool
	deleteData, force   bool
	wait                time.Duration
}

func (a *app) installCommand() *cobra.Command {
	f := &installFlags{}
	c := &cobra.Command{
		Use:   "install",
		Short: "Print what installs Bailey in a cluster, or apply it",
		Long: `Install renders Bailey's own Helm chart and prints the objects. With --apply it puts them
into the cluster by server-side apply, and lists in the ConfigMap bailey-install what it
made; --uninstall takes just that away. Run again with other values, it changes what is
there, and removes what is no longer wanted.

With the cluster named by --context, the identity that experiments run as gets the rights
that those of the cluster as it is now need, in the place of the chart's, which are for
any cluster. --rights prints these alone, for what Helm installed.

The namespace admits restricted pods only. Claims of volumes, and so history, stay at
--uninstall unless --delete-data is given.`,
		Example: `  bailey install --set image=registry.example.com/bailey@sha256:... > objects.yaml
  bailey install --set image=registry.example.com/bailey@sha256:... --apply --context prod
  bailey install --rights --context prod | kubectl --context prod apply -f -
  bailey install --uninstall --context prod`,
		Args: exactArgs(0, ""),
		RunE: func(c *cobra.Command, _ []string) error { return a.install(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: as kubectl)")
	flags.StringVar(&f.context, "context", "", "context of the kubeconfig")
	flags.StringVarP(&f.namespace, "namespace", "n", "bailey", "namespace to install in; it is made if it is not there")
	flags.StringSliceVarP(&f.values, "values", "f", nil, "values files of the chart")
	flags.StringArrayVar(&f.sets, "set", nil, "values of the chart, like persistence.size=20Gi")
	flags.BoolVar(&f.apply, "apply", false, "apply the objects (wants --context or --kubeconfig)")
	flags.BoolVar(&f.uninstall, "uninstall", false, "remove what --apply made (wants --context or --kubeconfig)")
	flags.BoolVar(&f.rights, "rights", false, "print only what experiments run as in the cluster: identity, rights, and the policy that holds it to dry-runs (wants --context or --kubeconfig)")
	flags.BoolVar(&f.deleteData, "delete-data", false, "with --uninstall: the volume and its history too")
	flags.BoolVar(&f.force, "force", false, "with --apply: take over fields that somebody else manages")
	flags.DurationVar(&f.wait, "wait", 2*time.Minute, "how long to wait until it is ready, or gone; 0: do not")
	return c
}

func (a *app) install(ctx context.Context, f *installFlags) error {
	switch {
	case f.apply && f.uninstall:
		return usageError("--apply and --uninstall are opposites\nhint: leave out one of the two")
	case f.rights && (f.apply || f.uninstall):
		return usageError("--rights only prints, and goes with neither --apply nor --uninstall\nhint: --apply gives the rights too")
	case f.deleteData && !f.uninstall, f.force && !f.apply:
		return usageError("--delete-data goes with --uninstall, and --force with --apply")
	case (f.apply || f.uninstall) && f.context == "" && f.kubeconfig == "":
		return usageError("what changes a cluster wants the cluster's name\nhint: --context NAME")
	case f.rights && f.context == "" && f.kubeconfig == "":
		return usageError("the rights of the prober depend on the cluster\nhint: --context NAME")
	}
	if f.uninstall {
		return a.uninstall(ctx, f)
	}
	values, err := f.chartValues()
	if err != nil {
		return err
	}
	planned := f.context != "" || f.kubeconfig != ""
	objects, prober, err := f.objects(values, planned)
	if err != nil {
		return err
	}
	var rights []*unstructured.Unstructured
	switch {
	case planned && prober.Enabled || f.rights:
		if rights, err = a.rights(ctx, f, &prober); err != nil {
			return err
		}
	case prober.Enabled && prober.Rights && len(prober.Namespaces) == 0:
		fmt.Fprintf(a.stderr, "Dry-runs are made in namespace %s only: what others there are depends on the cluster.\nhint: name it by --context, or them by --set 'prober.namespaces={a,b}'\n", f.namespace)
	}
	if f.rights {
		return a.printObjects(rights)
	}
	if !f.apply {
		return a.printObjects(slices.Concat([]*unstructured.Unstructured{install.Namespace(f.namespace)}, rights, objects))
	}
	config, installer, err := a.installer(ctx, f)
	if err != nil {
		return err
	}
	if err := installer.Apply(ctx, slices.Concat(rights, objects)); err != nil {
		return err
	}
	if prober.Enabled {
		// What was installed is something to try, too.
		if rights, err = a.rights(ctx, f, &prober); err != nil {
			return err
		}
		installer.Did = func(string) {}
		if err := installer.Apply(ctx, slices.Concat(rights, objects)); err != nil {
			return err
		}
	}
	if f.wait == 0 {
		return nil
	}
	return a.awaitReady(ctx, f, config)
}

// printObjects prints them as YAML to apply.
func (a *app) printObjects(objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(a.stdout, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// proberValues are those of the chart that say what experiments run.
type proberValues struct {
	Enabled    bool     `json:"enabled"`
	Rights     bool     `json:"rights"`
	Namespaces []string `json:"namespaces"`
	Isolated   bool     `json:"isolated"`
	Controls   []string `json:"controls"`
}

// chartValues are those of the flags.
func (f *installFlags) chartValues() (map[string]any, error) {
	values := map[string]any{}
	for _, file := range f.values {
		data, err := readBounded(file, 1<<20)
		if err != nil {
			return nil, usageError("--values: %w", err)
		}
		var more map[string]any
		if err := yaml.Unmarshal(data, &more); err != nil {
			return nil, usageError("--values %s: %w", file, err)
		}
		values = loader.MergeMaps(values, more)
	}
	for _, assignment := range f.sets {
		if err := strvals.ParseInto(assignment, values); err != nil {
			return nil, usageError("--set: %w", err)
		}
	}
	return values, nil
}

// objects renders the chart, and gives what its values say of experiments. Where the rights of these are planned the chart gives none.
func (f *installFlags) objects(values map[string]any, planned bool) (objects []*unstructured.Unstructured, prober proberValues, err error) {
	if planned {
		_ = unstructured.SetNestedField(values, false, "prober", "rights") // a prober that is no map the chart refuses
	}
	if f.rights && values["image"] == nil {
		values["image"] = releaseName // the chart asks for one, and no pod of it is printed
	}
	release := deploy.Release{Name: releaseName, Namespace: f.namespace, Values: values}
	objects, err = deploy.Objects(release)
	if err != nil {
		return nil, prober, usageError("the chart: %w", err)
	}
	for _, o := range objects {
		// Who made it, in Helm's words, would be Helm.
		if labels := o.GetLabels(); labels != nil {
			labels["app.kubernetes.io/managed-by"] = install.FieldManager
			o.SetLabels(labels)
		}
	}
	whole, err := release.AllValues()
	if err != nil {
		return nil, prober, err
	}
	set, _, err := unstructured.NestedMap(whole, "prober")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(set, &prober)
	}
	return objects, prober, err
}

// rights are the identity of the prober, with what the experiments of serve need in the cluster as it is
// now, and the policy that holds it to dry-runs.
func (a *app) rights(ctx context.Context, f *installFlags, prober *proberValues) ([]*unstructured.Unstructured, error) {
	chosen, err := chooseControls(prober.Controls)
	if err != nil {
		return nil, err
	}
	s, err := a.snapshot(ctx, &targetFlags{kubeconfig: f.kubeconfig, context: f.context}, nil)
	if err != nil {
		return nil, fmt.Errorf("what experiments need could not be planned: %w", err)
	}
	_, missing := s.Coverage()
	for _, m := range missing {
		// Fewer rights than experiments need would take away what an earlier installation gave.
		if m.Name == "" && (m.Reason == bailey.ReasonForbidden || m.Reason == bailey.ReasonUnreadable) {
			return nil, fmt.Errorf("what experiments need could not be planned: %s was not seen: %s\nhint: do it as who may read that, or with --set prober.enabled=false", m.Kind, m.Detail)
		}
	}
	choice := prove.Choice{Worst: bailey.DangerDryRun, Every: true}
	if prober.Isolated {
		choice.Worst, choice.Places = bailey.DangerIsolated, []bailey.Place{bailey.PlaceNode} // pods of its image
	}
	planned := prove.Plan(s, chosen, choice)
	var rights []*unstructured.Unstructured
	for _, object := range proberObjects(prove.Grants(planned.Units), f.namespace, prober.Isolated) {
		data, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal(data, &o.Object); err != nil {
			return nil, err
		}
		rights = append(rights, o)
	}
	return rights, nil
}

// installer names the cluster before anything is done to it.
func (a *app) installer(ctx context.Context, f *installFlags) (*rest.Config, *install.Installer, error) {
	config, err := kube.RESTConfig(f.kubeconfig, f.context)
	if err != nil {
		return nil, nil, err
	}
	config.UserAgent = "bailey/" + version
	uid, err := apply.ClusterUID(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(a.stderr, "Cluster %s (%s)\n", printable(config.Host), printable(uid))
	i, err := install.New(config, f.namespace)
	if err != nil {
		return nil, nil, err
	}
	i.Force = f.force
	i.Did = func(what string) { fmt.Fprintln(a.stderr, printable(what)) }
	if a.quiet {
		i.Did = func(string) {}
	}
	return config, i, nil
}

func (a *app) uninstall(ctx context.Context, f *installFlags) error {
	config, i, err := a.installer(ctx, f)
	if err != nil {
		return err
	}
	left, err := i.Remove(ctx, f.deleteData)
	if err != nil {
		return err
	}
	for _, what := range left {
		fmt.Fprintln(a.stderr, "left: "+printable(what))
	}
	if len(left) > 0 || f.wait == 0 {
		return nil
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, time.Second, f.wait, true, func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Namespaces().Get(ctx, f.namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("namespace %s is still there after %s\nhint: kubectl get namespace %s -o yaml says what holds it", f.namespace, f.wait, f.namespace)
	}
	return err
}

// awaitReady waits for the Deployment, and says what its pod lacks where it does not come up.
func (a *app) awaitReady(ctx context.Context, f *installFlags, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, time.Second, f.wait, true, func(ctx context.Context) (bool, error) {
		d, err := client.AppsV1().Deployments(f.namespace).Get(ctx, releaseName, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s, want := d.Status, *d.Spec.Replicas // the API server gives it a default
		return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == want && s.ReadyReplicas == want && s.Replicas == want, nil
	})
	switch {
	case err == nil:
		fmt.Fprintln(a.stderr, "ready")
		return nil
	case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
		return err
	}
	fmt.Fprintf(a.stderr, "Bailey is installed and not ready after %s:\n", f.wait)
	if err := whyNot(ctx, client, f.namespace, a.stderr); err != nil {
		return err
	}
	return fmt.Errorf("the pod is not ready\nhint: kubectl -n %s describe pods; kubectl -n %s logs deployment/%s", f.namespace, f.namespace, releaseName)
}

func whyNot(ctx context.Context, client kubernetes.Interface, namespace string, w io.Writer) error {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=bailey"})
	if err != nil {
		return err
	}
	if len(pods.Items) == 0 {
		fmt.Fprintln(w, "  there is no pod: it was not admitted, or a quota is full")
	}
	for _, p := range pods.Items {
		fmt.Fprintf(w, "  pod %s: %s %s\n", p.Name, p.Status.Phase, printable(p.Status.Message))
		for _, c := range p.Status.Conditions {
			if c.Status != "True" && c.Message != "" {
				fmt.Fprintf(w, "    %s: %s\n", c.Type, printable(oneLine(c.Message)))
			}
		}
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting != nil {
				fmt.Fprintf(w, "    %s: %s\n", s.State.Waiting.Reason, printable(oneLine(s.State.Waiting.Message)))
			}
		}
		events, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=Warning,involvedObject.name=" + p.Name, Limit: 100})
		if err != nil {
			return err
		}
		slices.SortFunc(events.Items, func(a, b corev1.Event) int { return b.LastTimestamp.Compare(a.LastTimestamp.Time) })
		for _, e := range events.Items[:min(len(events.Items), 3)] {
			fmt.Fprintf(w, "    %s: %s\n", printable(e.Reason), printable(oneLine(e.Message)))
		}
	}
	return nil
}
