package redact

import (
	"slices"

	"unicode/utf8"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/baileyhq/bailey"
)

// Object replaces, in place, the values that no fact may hold, by their class.
// It takes a pointer to a k8s.io/api type or a map.
//
//   - Of a Secret, metadata, type and the names of the keys stay; each key's
//     value is empty.
//   - Of a ConfigMap, each value becomes its class, but for the list of registries
//     that Bailey's own policy takes as its parameter.
//   - Of pods and pod templates, the values of environment variables,
//     arguments (flags keep their names), commands beyond the program, HTTP
//     headers, and the attributes of CSI and flex volumes (but for the CSI driver of
//     NFS) become their class.
//   - Annotations that are credentials or longer than 256 bytes become their
//     class; so does, in a custom resource, every text that is a credential.
//   - Mount options, parameters of storage classes, and paths and addresses of
//     webhooks, probes and ingresses that hold a credential become their class.
//   - Certificate bundles of webhooks and the parameters of device drivers go.
func Object(obj any) {
	if m, ok := obj.(map[string]any); ok {
		tree(m)
		return
	}
	if o, ok := obj.(metav1.ObjectMetaAccessor); ok {
		annotations(o.GetObjectMeta().GetAnnotations())
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		podSpec(&o.Spec)
	case *appsv1.Deployment:
		template(&o.Spec.Template)
	case *appsv1.ReplicaSet:
		template(&o.Spec.Template)
	case *appsv1.DaemonSet:
		template(&o.Spec.Template)
	case *appsv1.StatefulSet:
		template(&o.Spec.Template)
		for i := range o.Spec.VolumeClaimTemplates {
			annotations(o.Spec.VolumeClaimTemplates[i].Annotations)
		}
	case *batchv1.Job:
		template(&o.Spec.Template)
	case *batchv1.CronJob:
		annotations(o.Spec.JobTemplate.Annotations)
		template(&o.Spec.JobTemplate.Spec.Template)
	case *corev1.ReplicationController:
		if o.Spec.Template != nil {
			template(o.Spec.Template)
		}
	case *corev1.PodTemplate:
		template(&o.Template)
	case *corev1.Secret:
		secret(o)
	case *corev1.ConfigMap:
		if o.Namespace == metav1.NamespaceSystem && slices.Contains(bailey.PolicyParams, o.Name) {
			for k, v := range o.Data {
				o.Data[k] = Credential(v)
			}
		} else {
			values(o.Data)
		}
		for k, v := range o.BinaryData {
			o.BinaryData[k] = []byte(text(classifyBytes(v)))
		}
	case *corev1.PersistentVolume:
		persistentVolume(&o.Spec)
	case *corev1.Service:
		o.Spec.ExternalName = Credential(o.Spec.ExternalName)
	case *storagev1.StorageClass:
		credentials(o.Parameters)
		each(o.MountOptions)
	case *storagev1.VolumeAttributesClass:
		credentials(o.Parameters)
	case *storagev1.VolumeAttachment:
		if inline := o.Spec.Source.InlineVolumeSpec; inline != nil {
			persistentVolume(inline)
		}
	case *networkingv1.Ingress:
		for i := range o.Spec.Rules {
			if o.Spec.Rules[i].HTTP == nil {
				continue
			}
			for j := range o.Spec.Rules[i].HTTP.Paths {
				path := &o.Spec.Rules[i].HTTP.Paths[j].Path
				*path = Credential(*path)
			}
		}
	case *resourcev1.ResourceClaim:
		devices(&o.Spec.Devices)
	case *resourcev1.ResourceClaimTemplate:
		annotations(o.Spec.Annotations)
		devices(&o.Spec.Spec.Devices)
	case *resourcev1.DeviceClass:
		for i := range o.Spec.Config {
			opaque(&o.Spec.Config[i].DeviceConfiguration)
		}
	case *admissionv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			webhook(&o.Webhooks[i].ClientConfig)
		}
	case *admissionv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			webhook(&o.Webhooks[i].ClientConfig)
		}
	}
}

func template(t *corev1.PodTemplateSpec) {
	annotations(t.Annotations)
	podSpec(&t.Spec)
}

func secret(s *corev1.Secret) {
	if s.Data == nil && len(s.StringData) > 0 {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for k := range s.StringData {
		s.Data[k] = nil
	}
	for k := range s.Data {
		s.Data[k] = nil
	}
	s.StringData = nil
}

func persistentVolume(v *corev1.PersistentVolumeSpec) {
	each(v.MountOptions)
	if v.CSI != nil {
		attributes(v.CSI.Driver, v.CSI.VolumeAttributes)
	}
	if v.FlexVolume != nil {
		values(v.FlexVolume.Options)
	}
}

func webhook(c *admissionv1.WebhookClientConfig) {
	c.CABundle = nil
	if c.Service != nil && c.Service.Path != nil {
		path := Credential(*c.Service.Path)
		c.Service.Path = &path
	}
	if c.URL != nil && Credential(*c.URL) != *c.URL {
		redacted := Credential(*c.URL)
		c.URL = &redacted
	}
}

func devices(d *resourcev1.DeviceClaim) {
	for i := range d.Config {
		opaque(&d.Config[i].DeviceConfiguration)
	}
}

func opaque(c *resourcev1.DeviceConfiguration) {
	if c.Opaque != nil {
		c.Opaque.Parameters.Raw = nil
	}
}

// longestAnnotation is how long an annotation may be to be kept as it is.
const longestAnnotation = 256

func annotations(m map[string]string) {
	for k, v := range m {
		if kept := annotation(v); kept != v {
			m[k] = kept
		}
	}
}

func annotation(v string) string {
	if len(v) > longestAnnotation {
		return Value(v)
	}
	return Credential(v)
}

// each replaces the texts that are credentials.
func each(list []string) {
	for i, s := range list {
		list[i] = Credential(s)
	}
}

// credentials replaces the values that are credentials.
func credentials(m map[string]string) {
	for k, v := range m {
		if kept := Credential(v); kept != v {
			m[k] = kept
		}
	}
}

func classifyBytes(b []byte) bailey.Class {
	b = b[:min(len(b), Limit+utf8.UTFMax)]
	if len(b) == 0 {
		return bailey.ClassEmpty
	}
	if !utf8.Valid(b[:max(0, len(b)-utf8.UTFMax)]) {
		return bailey.ClassOpaque
	}
	return Classify(string(b))
}

// tree redacts an object of a kind that has no type here. It may hold a Secret
// or a pod template under any name, so what is a value in those is one here:
// env, args, command, data and stringData. What a field is called counts as
// well: a password stands under "password".
func tree(m map[string]any) {
	if meta, ok := m["metadata"].(map[string]any); ok {
		if notes, ok := meta["annotations"].(map[string]any); ok {
			for k, v := range notes {
				if s, ok := v.(string); ok {
					notes[k] = annotation(s)
				}
			}
		}
	}
	for k, v := range m {
		m[k] = node(k, v)
	}
}

func node(key string, v any) any {
	switch v := v.(type) {
	case string:
		switch kind := kindOfName(key); {
		case kind == isPassword && isSecretValue(kind, v, true):
			return text(bailey.ClassPassword)
		case kind >= strongSecret, kind == weakSecret && isSecretValue(kind, v, true):
			return Value(v)
		}
		return Credential(v)
	case map[string]any:
		if key == "data" || key == "stringData" || key == "binaryData" {
			for k, value := range v {
				if s, ok := value.(string); ok {
					v[k] = Value(s)
				} else {
					v[k] = node(k, value)
				}
			}
			return v
		}
		for k, value := range v {
			v[k] = node(k, value)
		}
	case []any:
		switch {
		case key == "args" && allStrings(v):
			for i := range v {
				v[i] = argument(v[i].(string))
			}
		case key == "command" && allStrings(v):
			for i, kept := range command(asStrings(v)) {
				v[i] = kept
			}
		case key == "env" || key == "httpHeaders":
			for i := range v {
				if entry, ok := v[i].(map[string]any); ok {
					if s, ok := entry["value"].(string); ok {
						entry["value"] = Value(s)
					}
				}
				v[i] = node("", v[i])
			}
		default:
			for i := range v {
				v[i] = node(key, v[i])
			}
		}
	}
	return v
}

func allStrings(list []any) bool {
	for _, v := range list {
		if _, ok := v.(string); !ok {
			return false
		}
	}
	return true
}

func asStrings(list []any) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.(string)
	}
	return texts
}
