package enforce

import (
	"fmt"
	"slices"
	"strings"

	"github.com/baileyhq/bailey"
)

// settingsReadme says where each file goes, what must be decided first, and how it is
// taken back.
func (p *Plan) settingsReadme(files map[string][]byte) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("\nWhat the controls want of components and no API object can give. Nothing of it is in force before somebody puts it")
	say("on the machines. One machine at a time, and one step at a time: an API server or kubelet that does not start again")
	say("says why in its log, and the others go on meanwhile.")

	if hasPrefix(files, controlPlaneFolder) {
		say("\n## Files of the control plane\n")
		say("Copy the content of `%s` to `%s` on every machine that runs an API server, owned by root, mode", strings.TrimSuffix(controlPlaneFolder, "/"), bailey.SettingsFolder)
		say("0600, in a folder of mode 0700. Where the API server is a static pod, it must mount the folder (read-only), and the")
		say("folder of the audit log (not read-only); `%s` does that.", kubeadmFile)
	}
	if files[kubeadmFile] != nil {
		say("\n## Flags\n")
		say("With kubeadm: put what `%s` holds into the cluster's ClusterConfiguration, keep a copy of", kubeadmFile)
		say("`/etc/kubernetes/manifests`, and on each machine run `kubeadm init phase control-plane all --config FILE` and")
		say("`kubeadm init phase etcd local --config FILE` with the whole of it. Without kubeadm: give the components these flags")
		say("where they are started.")
	}
	for _, c := range p.Components() {
		say("\n### %s\n", c)
		all := p.SettingsOf(c)
		if !slices.ContainsFunc(all, func(s Setting) bool { return len(s.Seen) > 0 }) {
			say("It was not seen how it is started now: compare before you change it.\n")
		}
		say("| setting | value | seen | why |\n| --- | --- | --- | --- |")
		for _, s := range all {
			value := "see below"
			if s.Value != nil {
				value = "`" + brief(s.Value) + "`"
			}
			say("| `%s` | %s | %s | %s |", s.Name(), value, cell(s.Instead()), s.Why)
		}
		say("")
		for _, s := range all {
			if len(s.Replaces) > 0 {
				say("- Beside `%s` leave out `--%s`.", s.Name(), strings.Join(s.Replaces, "`, `--"))
			}
			if s.Note != "" {
				say("- First, for `%s`: %s.", s.Name(), strings.TrimSuffix(s.Note, "."))
			}
		}
	}
	if files[kubeletFile] != nil {
		say("\n## Kubelets\n")
		say("Copy `%s` to `/etc/kubernetes/kubelet.conf.d/` on each node, start the kubelet with", kubeletFile)
		say("`--config-dir=/etc/kubernetes/kubelet.conf.d`, and restart it. Drop-ins (Kubernetes 1.30 and later) go over the")
		say("kubelet's own file; `bailey scan --kubelet-configz` shows what a kubelet then runs with.")
	}
	if files[controlPlaneFolder+"encryption.yaml"] != nil {
		say("\n## Encryption\n")
		say("1. Keep a copy of the key where no copy of etcd lies. Without it nothing that was encrypted can be read.")
		say("2. All API servers must be able to read before one writes: with several, put `identity` before `secretbox` in the")
		say("   file at first, restart each, then change the order in each file.")
		say("3. Write everything again: `kubectl get secrets,configmaps -A -o json | kubectl replace -f -`, or a")
		say("   StorageVersionMigration of each resource.")
		say("4. Prove it: `bailey prove storage/api-encryption`. Then take `identity` away.")
		say("\nBack: put `identity` first on every API server, write everything again, and only then take the file away.")
	}
	if len(p.Static) > 0 {
		p.policiesReadme(say, files[controlPlaneFolder+"admission.yaml"] != nil)
	}
	say("\n## Back\n")
	say("- Flags: put the kept manifests back into `/etc/kubernetes/manifests`, or the old flags. The files may then go.")
	say("- Kubelets: delete the drop-in and restart.")
	say("- To see what is left to do: `bailey enforce`.")
	return b.String()
}

// policiesReadme says how policies become files of the API server, with the file that names
// their folder or without.
func (p *Plan) policiesReadme(say func(format string, args ...any), named bool) {
	say("\n## Policies as files\n")
	say("From Kubernetes 1.37 the API server reads the admission policies in `%s/%s` (feature gate", bailey.SettingsFolder, bailey.PolicyFolder)
	say("ManifestBasedAdmissionControlConfig, which is on), if the file of `--admission-control-config-file` says so. They are in")
	say("force before the first request, no API shows them, and none can change or delete them.\n")
	say("1. Apply the same guards as objects first (`bailey enforce --apply`), until they refuse. A file whose object does not")
	say("   refuse yet warns and audits; write the folder again afterwards.")
	say("2. Copy the files to every machine that runs an API server: each reads its own. It reads them again when they change. A")
	say("   file that it cannot read keeps the API server from starting, and later from taking any change.")
	if named {
		say("3. Give the flag, one API server after the other.\n")
	} else {
		say("3. Let the file that the flag names say so, one API server after the other; what to look at is said above, for")
		say("   `--admission-control-config-file`.\n")
	}
	say("From then on Bailey's policies, bindings and webhook configurations can be changed and deleted by those alone who hold the")
	say("verb `unguard` on them, and not every verb: an administrator is refused, and so is an operator with the verb `*`. Give it")
	say("to the identity by which `bailey enforce --apply` and `--revert` run:\n")
	say("    apiVersion: rbac.authorization.k8s.io/v1\n    kind: ClusterRole\n    metadata: {name: bailey-unguard}\n    rules:")
	say("    - {apiGroups: [admissionregistration.k8s.io], resources: ['*'], verbs: [unguard]}\n")
	say("An administrator can still make such an identity, and act as it: that is a deliberate step, and the audit log has it.\n")
	say("| file | what it does |\n| --- | --- |")
	for _, s := range p.Static {
		what := "refuses"
		if !s.Denies {
			what = "warns and audits"
		}
		say("| `%s.yaml` | %s: %s |", s.Name, what, cell(s.Title))
	}
	say("\nBack: take the file away, or the flag.")
}

func hasPrefix(files map[string][]byte, prefix string) bool {
	for name := range files {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// cell keeps text inside a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

// brief is a value as its flag or file has it, cut.
func brief(v any) string {
	text := fmt.Sprint(v)
	if list, isList := v.([]string); isList {
		text = strings.Join(list, ",")
	}
	const most = 60
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "..."
	}
	return text
}
