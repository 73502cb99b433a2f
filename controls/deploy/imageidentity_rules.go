package deploy

import (
	"iter"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/controls/internal/ref"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

var imageIdentityRules = []*bailey.Rule{invalidReference, latestTag, notPinned, staleImage, notVerified}

var imageDocs = ref.Kubernetes("concepts/containers/images/#image-names", "Images: image names, tags and digests")

// usedImage is one place in a workload that names an image: a container, or an
// image volume.
type usedImage struct {
	text      string
	pull      corev1.PullPolicy
	container workload.Container // where volume is nil
	volume    *corev1.Volume
	index     int // of the volume
	workload  workload.Workload
}

// imagesOf gives every image that a workload's pods run or mount, as far as it
// is written down: a text that a tool fills in later is no reference yet.
func imagesOf(w workload.Workload) iter.Seq[usedImage] {
	return func(yield func(usedImage) bool) {
		for c := range w.Containers() {
			if isTemplate(c.Image) || c.Image == "auto" && c.Name == "istio-proxy" { // Istio writes it when the pod is made
				continue
			}
			if !yield(usedImage{text: c.Image, pull: c.ImagePullPolicy, container: c, workload: w}) {
				return
			}
		}
		for i := range w.Spec.Volumes {
			v := &w.Spec.Volumes[i]
			if v.Image == nil || isTemplate(v.Image.Reference) {
				continue
			}
			if !yield(usedImage{text: v.Image.Reference, pull: v.Image.PullPolicy, volume: v, index: i, workload: w}) {
				return
			}
		}
	}
}

// isTemplate reports whether the text is to be filled in by something else: it
// is empty, or has a character that marks a variable and that no reference has.
func isTemplate(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case '$', '<', '{', '%':
			return true
		}
	}
	return text == ""
}

func (u usedImage) finding(message string) bailey.Finding {
	return u.findingAt(".image", ".reference", message)
}

func (u usedImage) findingAt(inContainer, inVolume, message string) bailey.Finding {
	if u.volume == nil {
		return u.container.Finding(inContainer, "container "+u.container.Name+" "+message)
	}
	path := u.workload.Path + ".volumes["
	return bailey.Finding{
		Field:   path + strconv.Itoa(u.index) + "].image" + inVolume,
		Named:   path + u.volume.Name + "].image" + inVolume,
		Message: "image volume " + u.volume.Name + " " + message,
	}
}

// pullPointer is the JSON pointer of the pull policy.
func (u usedImage) pullPointer() string {
	if u.volume == nil {
		return u.container.Pointer("/imagePullPolicy")
	}
	return u.workload.Pointer + "/volumes/" + strconv.Itoa(u.index) + "/image/pullPolicy"
}

// uses is what the reference is used for, for a message.
func (u usedImage) uses() string {
	if u.volume == nil {
		return "runs "
	}
	return "mounts "
}

var invalidReference = &bailey.Rule{
	Name:  "invalid-reference",
	Title: "Image reference is not valid",
	Doc: `Reads the images of all containers and image volumes by the grammar that container runtimes share. A runtime
refuses such a reference, so the pod does not start; a policy that compares names may read it as another.

A reference that has still to be filled in is not judged: an empty one, or one with a variable in it.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{imageDocs, ref.Page("OCI", "Distribution Specification: pulling manifests", "https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for u := range imagesOf(w) {
			if _, err := imageref.Parse(u.text); err != nil {
				found = append(found, u.finding("names image "+quote(u.text)+", which "+err.Error()))
			}
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: "registry.example.com/Shop/App:v1"}]
`},
}

// quote is the text in quotes, shortened.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strconv.Quote(text)
}

var latestTag = &bailey.Rule{
	Name:  "latest-tag",
	Title: "Image is whatever is newest",
	Doc: `Reads the images of all containers and image volumes: the tag latest, or neither tag nor digest, which
means the same.

What runs is decided by whoever pushed last, and changes whenever a pod starts. Nobody can say afterwards
what ran, nor go back to it.`,
	Severity: bailey.SeverityMedium,
	Refs:     []bailey.Reference{imageDocs, ref.CIS("5.5.1", "The provenance of images is checked at admission"), ref.NIST("CM-2"), ref.ATTACK("T1525")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for u := range imagesOf(w) {
			r, err := imageref.Parse(u.text)
			switch {
			case err != nil || !r.Latest():
			case r.Tag == "":
				found = append(found, u.finding(u.uses()+u.text+" without a tag or digest"))
			default:
				found = append(found, u.finding(u.uses()+u.text))
			}
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: registry.example.com/app}]
`, `apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: "registry.example.com/app:1@sha256:436cc645fad33c21ddc02177eb060b7573c8166179968a2a4e16ef8320bd41dc"}]
  volumes: [{name: model, image: {reference: "registry.example.com/model:latest"}}]
`},
}

var notPinned = &bailey.Rule{
	Name:  "not-pinned",
	Title: "Image is not pinned by digest",
	Doc: `Reads the images of all containers and image volumes: a tag other than latest and no digest. (What is
latest, latest-tag finds.)

Whoever may push to the repository can move the tag to other content, and the next pod runs it. A tag
beside the digest stays useful to readers, and to tools that propose updates.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{imageDocs, ref.CNCF(253, "Integrity and signature are verified before deployment"), ref.NIST("CM-14"), ref.ATTACK("T1525")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for u := range imagesOf(w) {
			if r, err := imageref.Parse(u.text); err == nil && !r.Pinned() && !r.Latest() {
				found = append(found, u.finding(u.uses()+u.text+" by tag only"))
			}
		}
		return found
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: "registry.example.com/app:1.4"}]
`},
}

var staleImage = &bailey.Rule{
	Name:  "stale-image",
	Title: "Pull policy keeps whatever the node holds under a name that moves",
	Doc: `Reads the pull policy beside the image, where no digest pins it: Never; or IfNotPresent with the tag latest or
none. IfNotPresent with a version tag is the default, and is not found.

A node that once pulled the name goes on with that content, whatever it was, and nodes differ. With
Never the node's own store is the only source, and nothing says who filled it.`,
	Severity: bailey.SeverityLow,
	Refs:     []bailey.Reference{ref.Kubernetes("concepts/containers/images/#image-pull-policy", "Images: image pull policy"), ref.NIST("SI-7")},
	On:       bailey.PodBearing,
	Check: func(_ *bailey.View, f *bailey.Fact) []bailey.Finding {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		var found []bailey.Finding
		for u := range imagesOf(w) {
			if isStale(u) {
				found = append(found, u.findingAt(".imagePullPolicy", ".pullPolicy", u.uses()+u.text+" with pull policy "+string(u.pull)))
			}
		}
		return found
	},
	Fix: func(_ *bailey.View, f *bailey.Fact, finding bailey.Finding) []bailey.Change {
		w, ok := workload.Of(f)
		if !ok {
			return nil
		}
		for u := range imagesOf(w) {
			if isStale(u) && u.findingAt(".imagePullPolicy", ".pullPolicy", "").Field == finding.Field {
				return []bailey.Change{{Object: f.Ref, APIVersion: f.APIVersion,
					Patch: []bailey.PatchOp{{Op: "replace", Path: u.pullPointer(), Value: "Always"}}}}
			}
		}
		return nil
	},
	Bad: []string{`apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  containers: [{name: app, image: registry.example.com/app, imagePullPolicy: IfNotPresent}]
`},
}

func isStale(u usedImage) bool {
	if u.pull != corev1.PullNever && u.pull != corev1.PullIfNotPresent {
		return false
	}
	r, err := imageref.Parse(u.text)
	return err == nil && !r.Pinned() && (u.pull == corev1.PullNever || r.Latest())
}
