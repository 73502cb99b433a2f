package storage

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/workload"
)

var networkStorageRules = []*bailey.Rule{nfsWithoutKerberos, iscsiWithoutCHAP}

// onVolumes are the kinds that name a volume's server.
var onVolumes = append([]bailey.Kind{bailey.KindPersistentVolume}, bailey.PodBearing...)

var nfsWithoutKerberos = &bailey.Rule{
	Name:  "nfs-without-kerberos",
	Title: "NFS volume is mounted without Kerberos",
	Doc: `Reads PersistentVolumes of NFS, by the plug-in or by the driver ` + nfsDriver + `, and pods' volumes of that driver,
whose mount options do not name sec=krb5, krb5i or krb5p, or name another flavour beside it; and the NFS volumes of
pods, for whom no options can be given. The options of a volume are its mountOptions, in whose place the plug-in takes
the annotation ` + corev1.MountOptionAnnotation + `, and to which the driver adds volumeAttributes.mountOptions.

Without Kerberos an NFS server believes the client's address and the user number that the client says. Every pod on a
node shares the node's address.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/storage/persistent-volumes/#mount-options", "Persistent Volumes: Mount Options"),
		ref.Page("IETF", "RFC 7530: NFS version 4, section 3.2: security", "https://www.rfc-editor.org/rfc/rfc7530#section-3.2"), ref.NIST("IA-3"), ref.NIST("SC-8")},
	On: onVolumes,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		if pv, ok := bailey.As[*corev1.PersistentVolume](f); ok {
			if pv.Spec.NFS == nil && (pv.Spec.CSI == nil || pv.Spec.CSI.Driver != nfsDriver) {
				return nil
			}
			field, flavours := flavoursOf(pv)
			if flavours.kerberosOnly() {
				return nil
			}
			return []bailey.Finding{{Field: field, Message: "NFS without sec=krb5p, or beside another flavour: the server believes whoever has the node's address"}}
		}
		return eachVolume(f, func(v *corev1.Volume) string {
			switch {
			case v.NFS != nil:
				return "is NFS of " + v.NFS.Server + ", and a pod cannot ask for Kerberos: use a PersistentVolume with mountOptions [sec=krb5p]"
			case v.CSI != nil && v.CSI.Driver == nfsDriver:
				var flavours flavours
				flavours.addAttributes(v.CSI.VolumeAttributes)
				if !flavours.kerberosOnly() {
					return "is NFS of " + attribute(v.CSI.VolumeAttributes, "server") + " without Kerberos: set volumeAttributes {mountOptions: sec=krb5p}"
				}
			}
			return ""
		})
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop}
spec:
  containers: [{name: app, image: app}]
  volumes: [{name: data, nfs: {server: nfs.example.com, path: /data}}]
`, `apiVersion: v1
kind: PersistentVolume
metadata: {name: bad}
spec:
  accessModes: [ReadWriteMany]
  capacity: {storage: 1Gi}
  mountOptions: [nfsvers=4.1]
  nfs: {server: nfs.example.com, path: /data}
`, `apiVersion: v1
kind: Pod
metadata: {name: bad-by-driver, namespace: shop}
spec:
  containers: [{name: app, image: app}]
  volumes: [{name: data, csi: {driver: nfs.csi.k8s.io, volumeAttributes: {server: nfs.example.com, share: /data, mountOptions: "nfsvers=4.1"}}}]
`, `apiVersion: v1
kind: PersistentVolume
metadata: {name: bad-by-annotation, annotations: {volume.beta.kubernetes.io/mount-options: "nfsvers=4.1,sec=sys"}}
spec:
  accessModes: [ReadWriteMany]
  capacity: {storage: 1Gi}
  mountOptions: [sec=krb5p]
  nfs: {server: nfs.example.com, path: /data}
`, `apiVersion: v1
kind: PersistentVolume
metadata: {name: bad-by-attribute}
spec:
  accessModes: [ReadWriteMany]
  capacity: {storage: 1Gi}
  mountOptions: [sec=krb5p]
  csi: {driver: nfs.csi.k8s.io, volumeHandle: data, volumeAttributes: {server: nfs.example.com, share: /data, mountOptions: "sec=sys"}}
`},
}

var iscsiWithoutCHAP = &bailey.Rule{
	Name:  "iscsi-without-chap",
	Title: "iSCSI volume is attached without CHAP",
	Doc: `Reads iSCSI volumes of PersistentVolumes and pods whose sessions are not authenticated by CHAP (chapAuthSession). The
target then takes the initiator's name for who it is, and anybody can say any name.`,
	Severity: bailey.SeverityMedium,
	Refs: []bailey.Reference{ref.Kubernetes("concepts/storage/volumes/#iscsi", "Volumes: iscsi"),
		ref.Page("IETF", "RFC 7143: iSCSI, section 9.2: in-band initiator-target authentication", "https://www.rfc-editor.org/rfc/rfc7143#section-9.2"), ref.NIST("IA-3")},
	On: onVolumes,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		if pv, ok := bailey.As[*corev1.PersistentVolume](f); ok {
			if pv.Spec.ISCSI == nil || pv.Spec.ISCSI.SessionCHAPAuth {
				return nil
			}
			return []bailey.Finding{{Field: "spec.iscsi.chapAuthSession", Message: "iSCSI without CHAP: the target believes the initiator's name"}}
		}
		return eachVolume(f, func(v *corev1.Volume) string {
			if v.ISCSI == nil || v.ISCSI.SessionCHAPAuth {
				return ""
			}
			return "is iSCSI without CHAP (chapAuthSession)"
		})
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad, namespace: shop}
spec:
  containers: [{name: app, image: app}]
  volumes: [{name: data, iscsi: {targetPortal: "192.0.2.10:3260", iqn: "iqn.2026-01.com.example:data", lun: 0}}]
`, `apiVersion: v1
kind: PersistentVolume
metadata: {name: bad}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  iscsi: {targetPortal: "192.0.2.10:3260", iqn: "iqn.2026-01.com.example:data", lun: 0}
`},
}

// eachVolume gives a finding for each volume of a workload of which there is something to say.
func eachVolume(f *bailey.Fact, say func(*corev1.Volume) string) []bailey.Finding {
	w, ok := workload.Of(f)
	if !ok {
		return nil
	}
	var found []bailey.Finding
	for i := range w.Spec.Volumes {
		v := &w.Spec.Volumes[i]
		if message := say(v); message != "" {
			found = append(found, bailey.Finding{Field: w.Path + ".volumes[" + strconv.Itoa(i) + "]", Named: w.Path + ".volumes[" + v.Name + "]",
				Message: "volume " + v.Name + " " + message})
		}
	}
	return found
}
