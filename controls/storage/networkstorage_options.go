package storage

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// nfsDriver is the CSI driver for NFS of the Kubernetes project. It reads the keys of
// volumeAttributes in any case, as strings.ToLower gives it: EqualFold folds more.
const nfsDriver = "nfs.csi.k8s.io"

// optionsAttribute is the driver's attribute that it adds to the mount options.
const optionsAttribute = "mountoptions"

// kerberosFlavours are the values of the mount option sec that authenticate by Kerberos.
var kerberosFlavours = []string{"krb5", "krb5i", "krb5p"}

// flavours says what the options "sec" of a mount name. Which of several counts depends
// on who mounts, so that a weak one always does.
type flavours struct{ kerberos, weak bool }

func (f flavours) kerberosOnly() bool { return f.kerberos && !f.weak }

// add takes the flavours of options, with commas between them, as mount(8) does; a "sec"
// may hold several with colons.
func (f *flavours) add(options string) {
	for option := range strings.SplitSeq(options, ",") {
		list, names := strings.CutPrefix(option, "sec=")
		if !names {
			continue
		}
		for flavour := range strings.SplitSeq(list, ":") {
			if slices.Contains(kerberosFlavours, flavour) {
				f.kerberos = true
			} else {
				f.weak = true
			}
		}
	}
}

func (f *flavours) addAttributes(attributes map[string]string) {
	for key, value := range attributes {
		if strings.ToLower(key) == optionsAttribute {
			f.add(value)
		}
	}
}

// flavoursOf gives the flavours of a PersistentVolume of NFS, and the field that its
// options come from: the plug-in takes the annotation in the place of mountOptions, and
// the driver adds an attribute to them.
func flavoursOf(pv *corev1.PersistentVolume) (field string, f flavours) {
	if options, annotated := pv.Annotations[corev1.MountOptionAnnotation]; annotated && pv.Spec.NFS != nil {
		f.add(options)
		return "metadata.annotations[" + corev1.MountOptionAnnotation + "]", f
	}
	for _, options := range pv.Spec.MountOptions {
		f.add(options)
	}
	if pv.Spec.CSI != nil {
		f.addAttributes(pv.Spec.CSI.VolumeAttributes)
	}
	return "spec.mountOptions", f
}

// attribute gives the driver's attribute of the name, which is in lower case; of several
// spellings the first in order.
func attribute(attributes map[string]string, name string) string {
	if value, is := attributes[name]; is {
		return value
	}
	found := ""
	for key := range attributes {
		if strings.ToLower(key) == name && (found == "" || key < found) {
			found = key
		}
	}
	return attributes[found]
}

// attributesCEL gives in CEL the values of optionsAttribute, as a list of texts.
func attributesCEL(attributes string) string {
	return attributes + ".map(k, k.lowerAscii() == '" + optionsAttribute + "', " + attributes + "[k])"
}

// kerberosOnlyCEL is kerberosOnly in CEL, of a list of options.
func kerberosOnlyCEL(options string) string {
	return options + ".join(',').split(',').filter(o, o.startsWith('sec=')).map(o, o.substring(4)).join(':').split(':')" +
		".all(f, f in ['" + strings.Join(kerberosFlavours, "', '") + "'])"
}
