package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/baileyhq/bailey/enforce/gate"
	"github.com/baileyhq/bailey/trust"
)

// printGate prints what installs the gate.
func (a *app) printGate(f *gateFlags) error {
	install := &gate.Install{Config: f.config(), Image: f.image, Replicas: f.replicas, Recipients: f.recipients, APIServer: f.apiServer, PlainHTTP: len(f.plainRegistries) > 0}
	if len(f.rules) > 0 {
		if _, err := chooseRules(f.rules); err != nil {
			return err
		}
		install.Reads = readingRights()
		install.Args = append(install.Args, "--rules", strings.Join(f.rules, ","), "--snapshot-every", f.snapshotEvery.String())
		if f.refuseStale {
			install.Args = append(install.Args, "--refuse-stale")
		}
	}
	if f.url == "" {
		if !strings.Contains(f.image, "@sha256:") {
			return usageError("--print wants the image of Bailey by digest\nhint: --image registry.example.com/bailey@sha256:...")
		}
		if len(f.recipients) == 0 {
			return usageError("--print wants to know who reads the decision log\nhint: --ledger-recipient age1... (age-keygen makes a key)")
		}
		files, err := policyFiles(f.policy)
		if err != nil {
			return err
		}
		install.Policy, install.PolicyFile = files, filepath.Base(f.policy)
		if f.waivers != "" {
			_, only, err := readWaivers(f.waivers)
			if err != nil {
				return fmt.Errorf("--waivers: %w", err)
			}
			if files[configName] != nil {
				return usageError("--print puts the waivers beside the trust policy as %s, and that is one of its files\nhint: give that file another name", configName)
			}
			files[configName], install.WaiversFile = only, configName
		}
		if f.mode != gateEnforces {
			install.Args = append(install.Args, "--mode", f.mode)
		}
		if f.pin != "workloads" {
			install.Args = append(install.Args, "--pin", f.pin)
		}
		for _, r := range f.plainRegistries {
			install.Args = append(install.Args, "--plain-http-registry", r)
		}
		if f.registryCA != "" {
			return usageError("--print cannot carry --registry-ca\nhint: mount the file into the Deployment and add the flag there")
		}
	}
	objects, err := install.Objects()
	if err != nil {
		return err
	}
	text, err := gate.YAML(objects)
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(text)
	return err
}

// policyFiles reads the trust policy and what it names, by paths from its folder.
func policyFiles(path string) (map[string][]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the trust policy: %w", err)
	}
	files := map[string][]byte{filepath.Base(path): data}
	_, err = trust.Parse(path, data, func(name string) ([]byte, error) {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(path), file)
		}
		content, err := os.ReadFile(file)
		if err == nil {
			files[filepath.Clean(name)] = content
		}
		return content, err
	})
	if err != nil {
		return nil, fmt.Errorf("the trust policy: %w", err)
	}
	return files, nil
}

func (a *app) gateGrantCommand() *cobra.Command {
	var namespace, digest, reason string
	var lasts time.Duration
	c := &cobra.Command{
		Use:   "grant NAME",
		Short: "Print a break-glass grant: let one image in that nobody vouches for, for a while",
		Long: `Grant prints a Lease by which the gate lets one digest into one namespace until it
ends. It counts when the gate has sealed it, which it does for whoever holds the verb
breakglass on images.gate.bailey.dev there. Each use is a record of the decision log.

  bailey gate grant fire -n shop --digest sha256:... --for 2h \
      --reason "the build is down, INC-1234" | kubectl create -f -`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if lasts < time.Second || lasts > gate.MaxGrant {
				return usageError("--for %s is not between a second and %s", lasts, gate.MaxGrant)
			}
			if digest == "" || reason == "" || namespace == "" {
				return usageError("a grant wants --namespace, --digest and --reason")
			}
			lease := gate.GrantLease(args[0], digest, lasts, reason)
			lease.Namespace = namespace
			text, err := gate.YAML([]runtime.Object{lease})
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
	flags := c.Flags()
	flags.StringVarP(&namespace, "namespace", "n", "", "namespace that the image may come into")
	flags.StringVar(&digest, "digest", "", "the image's digest, sha256:...")
	flags.StringVar(&reason, "reason", "", "why, for those who read the log")
	flags.DurationVar(&lasts, "for", time.Hour, "how long, 24h at most")
	return c
}
