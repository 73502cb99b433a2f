package deploy

import (
	"maps"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/settings"
	"github.com/baileyhq/bailey/controls/internal/vap"
)

// unguardVerb is the verb on an admission policy, a binding or a webhook configuration that
// lets one change or delete it where it is Bailey's. Whoever holds every verb on its kind does
// not hold it: a mistake or a theft of an administrator's credential, or of an operator's, is
// what the policy is for.
const unguardVerb = "unguard"

const registrationGroup = "admissionregistration.k8s.io"

// policiesKept refuses what takes Bailey's guards away. Only as a file of the API server does
// it see policies and bindings, and nobody can delete it by the API.
var policiesKept = vap.Policy{
	Control: "deploy/admission", Name: "policies-kept", ClusterWide: true,
	Resources: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Update, admissionv1.Delete},
		Rule: admissionv1.Rule{APIGroups: []string{registrationGroup}, APIVersions: []string{"v1"}, Resources: []string{
			"validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
			"validatingwebhookconfigurations", "mutatingwebhookconfigurations"}}}}},
	Variables: []admissionv1.Variable{
		{Name: "own", Expression: managedByBailey("oldObject")},
		// The CA bundle of a webhook is written by who renews its certificates.
		{Name: "kept", Expression: "request.operation == 'UPDATE' && " + managedByBailey("object") + " && dyn(object).?spec == dyn(oldObject).?spec && " +
			"size(dyn(object).?webhooks.orValue([])) == size(dyn(oldObject).?webhooks.orValue([])) && dyn(object).?webhooks.orValue([]).all(w, dyn(oldObject).?webhooks.orValue([]).exists(o, " +
			"size(w) == size(o) && w.all(f, f == 'clientConfig' || o[?f] == w[?f]) && ['url', 'service'].all(f, o.clientConfig[?f] == w.clientConfig[?f])))"},
		{Name: "granted", Expression: ownAuthorizer + ".check('" + unguardVerb + "').allowed() && !" + ownAuthorizer + ".check('*').allowed()"},
	},
	Checks: []vap.Check{{Expression: "!variables.own || variables.kept || variables.granted",
		MessageExpression: "oldObject.metadata.name + ' guards the cluster: whoever changes or deletes it needs the verb " + unguardVerb + " on it, and not every verb'"}},
}

// ownAuthorizer asks about the object. Who is given everything is given every verb on it.
const ownAuthorizer = "authorizer.group('" + registrationGroup + "').resource(request.resource.resource).name(oldObject.metadata.name)"

func managedByBailey(object string) string {
	return "dyn(" + object + ").metadata.?labels[?'" + vap.ManagedByLabel + "'].orValue('') == 'bailey'"
}

// policyFolder is where the API server finds policies as files.
const policyFolder = bailey.SettingsFolder + "/" + bailey.PolicyFolder

const policyPlugin = "ValidatingAdmissionPolicy"

var policiesAsFiles = settings.New(settings.Guard{
	Name:  "policies-as-files",
	Title: "The API server reads guards from files, and lets nobody take away those in the cluster",
	Doc: `Kubernetes 1.37 and later read admission policies from a folder that an AdmissionConfiguration names: in force from the
API server's start, and out of reach of the API. Bailey writes its policies that take no parameters for it, and one more
that is only possible this way: admission policies, bindings and webhook configurations with the label
app.kubernetes.io/managed-by=bailey may be changed and deleted by those alone who hold the verb unguard on them, and
not every verb. Labels, annotations and the CA bundles of webhooks are free.

What an API server has read is not shown by any API, so this guard is never seen to be in place.`,
	Parts: []settings.Part{{Kind: bailey.KindAPIServer, Wants: func(seen *bailey.Component, version bailey.Version) []settings.Want {
		if !version.IsZero() && !version.AtLeast(1, 37) {
			return nil
		}
		return []settings.Want{policyFolderWant(seen)}
	}}},
})

func policyFolderWant(seen *bailey.Component) settings.Want {
	const flag, name = "admission-control-config-file", "admission.yaml"
	const why = "Guards are in force from the start, and no administrator's credential takes them away."
	there := settings.DocumentOf(seen, flag)
	var plugins []any
	w := settings.Want{Holds: func(*bailey.Component) bool { return false }}
	file, folder := configured(there)
	switch {
	case folder != "" && folder != policyFolder:
		w = there.LookAt(flag, why, "")
		w.Note = "policies are read from " + folder + " already: put the files of " + bailey.PolicyFolder + " there"
	case file != "":
		w = there.LookAt(flag, why, "")
		w.Note = "the plugin " + policyPlugin + " has its configuration in " + file + ", which was not seen: give that one staticManifestsDir " + policyFolder +
			", or put the files of " + bailey.PolicyFolder + " into the folder that it names"
	case there.Path != "" && !there.Whole:
		// Bailey's own from before may hold other plugins too.
		w = there.LookAt(flag, why, "it needs the plugin "+policyPlugin+" with staticManifestsDir "+policyFolder)
	default:
		note := "read how to switch it on below, and what it takes to change a guard then"
		if there.Whole {
			plugins = absolute(there)
			note = "it is " + there.Path + " as it was read, with one more plugin: compare; " + note
		}
		plugins = append(plugins, map[string]any{"name": policyPlugin, "configuration": map[string]any{
			"apiVersion": "apiserver.config.k8s.io/v1", "kind": "ValidatingAdmissionPolicyConfiguration", "staticManifestsDir": policyFolder}})
		text, err := yaml.Marshal(map[string]any{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins})
		if err != nil {
			w = there.NotWritten(flag, why, err)
			break
		}
		w.Setting = bailey.Setting{Flag: flag, Value: bailey.SettingsFolder + "/" + name, File: &bailey.SettingFile{Name: name, Text: string(text)}, Why: why, Note: note}
	}
	w.Policies = vap.Objects(policiesKept)
	return w
}

// configured gives the folder that the document names for policies, and the file that it
// leaves that to; empty where it names none.
func configured(d settings.Document) (file, folder string) {
	plugins, _ := d.Content["plugins"].([]any)
	for _, p := range plugins {
		plugin := settings.Map(p)
		if plugin["name"] != policyPlugin {
			continue
		}
		folder = settings.Text(settings.Field(plugin, "configuration.staticManifestsDir"))
		if file = settings.Text(plugin["path"]); file != "" {
			file = d.Beside(file)
		}
	}
	return file, folder
}

// absolute gives a file's plugins but that of policies, with paths that hold in another
// folder too.
func absolute(d settings.Document) []any {
	var all []any
	plugins, _ := d.Content["plugins"].([]any)
	for _, p := range plugins {
		plugin := settings.Map(p)
		if plugin["name"] == policyPlugin {
			continue
		}
		if file, _ := plugin["path"].(string); file != "" {
			plugin = maps.Clone(plugin)
			plugin["path"] = d.Beside(file)
		}
		all = append(all, plugin)
	}
	return all
}
