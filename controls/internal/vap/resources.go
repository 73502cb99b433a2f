package vap

import admissionv1 "k8s.io/api/admissionregistration/v1"

var written = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}

// Resource is the creation and update of resources of a group in its version 1;
// requests in other versions are converted.
func Resource(group string, resources ...string) admissionv1.NamedRuleWithOperations {
	return admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{Operations: written,
		Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: resources}}}
}

// PodBearing are the requests by which a container, or a template of one, comes
// in: pods, ephemeral containers, and every kind that makes pods.
var PodBearing = []admissionv1.NamedRuleWithOperations{
	Resource("", "pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"),
	Resource("apps", "deployments", "replicasets", "statefulsets", "daemonsets"),
	Resource("batch", "jobs", "cronjobs"),
}

// TemplateOf is the CEL of a pod's or pod template's place in an object. The
// expression is dynamic, since each kind has another.
func TemplateOf(object string) string {
	return object + ".kind == 'Pod' ? dyn(" + object + ") : " + object + ".kind == 'PodTemplate' ? dyn(" + object + ").template : " +
		object + ".kind == 'CronJob' ? dyn(" + object + ").spec.jobTemplate.spec.template : dyn(" + object + ").spec.template"
}

// PodVariables are the variables of a policy about PodBearing requests:
//
//	template    the pod, or the template of one
//	spec        the pod's spec; where ephemeral containers are added, only these and what
//	            else says how they run: what is there already is not judged again
//	containers  its containers of every sort
//	unchanged   an update leaves the spec as it was: what is there already may go on,
//	            be scaled, labelled and deleted
var PodVariables = []admissionv1.Variable{
	{Name: "template", Expression: TemplateOf("object")},
	{Name: "spec", Expression: "request.?subResource.orValue('') == 'ephemeralcontainers' ? dyn({'containers': dyn([]), ?'ephemeralContainers': variables.template.spec.?ephemeralContainers, " +
		"?'securityContext': variables.template.spec.?securityContext, ?'os': variables.template.spec.?os, ?'runtimeClassName': variables.template.spec.?runtimeClassName}) : variables.template.spec"},
	{Name: "containers", Expression: "variables.spec.containers + variables.spec.?initContainers.orValue([]) + variables.spec.?ephemeralContainers.orValue([])"},
	{Name: "unchanged", Expression: "request.operation == 'UPDATE' && (" + TemplateOf("oldObject") + ").spec == variables.template.spec"},
}

// Pods is a check of a policy about PodBearing requests.
func Pods(expression, messageExpression string) Check {
	return Check{Expression: "variables.unchanged || " + expression, MessageExpression: messageExpression}
}
