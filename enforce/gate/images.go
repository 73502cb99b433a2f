package gate

import (
	"errors"
	"fmt"
	"strconv"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kjson "sigs.k8s.io/json"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/derive/imageref"
	"github.com/baileyhq/bailey/derive/workload"
)

// usedImage is one place of a pod, or of a template of one, that names an image.
type usedImage struct {
	list    string // "containers", "initContainers", "ephemeralContainers", "volumes"
	name    string // of the container or volume
	text    string // the reference as it is written
	pointer string // JSON pointer of the reference
	field   string // and its path, for people
}

func (u usedImage) place() string {
	what := "container "
	if u.list == "volumes" {
		what = "volume "
	}
	return what + strconv.Quote(u.name) + " (" + u.field + ")"
}

// parse reads a reference, with its registry as policies name it.
func parse(text string) (imageref.Ref, error) {
	r, err := imageref.Parse(text)
	if err != nil {
		return r, err
	}
	return r.Canonical(), nil
}

// newObject gives a fresh object of a pod-bearing kind in its version 1, else nil.
func newObject(kind metav1.GroupVersionKind) runtime.Object {
	if kind.Version != "v1" {
		return nil
	}
	switch bailey.KindOf(kind.Group+"/v1", kind.Kind) {
	case bailey.KindPod:
		return new(corev1.Pod)
	case bailey.KindPodTemplate:
		return new(corev1.PodTemplate)
	case bailey.KindReplicationController:
		return new(corev1.ReplicationController)
	case bailey.KindDeployment:
		return new(appsv1.Deployment)
	case bailey.KindReplicaSet:
		return new(appsv1.ReplicaSet)
	case bailey.KindStatefulSet:
		return new(appsv1.StatefulSet)
	case bailey.KindDaemonSet:
		return new(appsv1.DaemonSet)
	case bailey.KindJob:
		return new(batchv1.Job)
	case bailey.KindCronJob:
		return new(batchv1.CronJob)
	}
	return nil
}

// decode reads an object of a pod-bearing kind as the API server does: names of fields
// are exact, and none stands twice.
func decode(raw []byte, kind metav1.GroupVersionKind) (workload.Workload, error) {
	o := newObject(kind)
	if o == nil {
		return workload.Workload{}, fmt.Errorf("the gate does not know objects of kind %q in %q", kind.Kind, metav1.GroupVersion{Group: kind.Group, Version: kind.Version}.String())
	}
	if len(raw) == 0 {
		return workload.Workload{}, errors.New("the request holds no object")
	}
	strict, err := kjson.UnmarshalStrict(raw, o)
	if err != nil {
		return workload.Workload{}, fmt.Errorf("the object cannot be read: %w", err)
	}
	if own := o.GetObjectKind().GroupVersionKind(); own.Kind != kind.Kind || own.Version != kind.Version || own.Group != kind.Group {
		return workload.Workload{}, fmt.Errorf("the request is about a %s, and its object is a %q", kind.Kind, own.Kind)
	}
	w, ok := workload.Of(&bailey.Fact{Object: o})
	if !ok {
		if rc, is := o.(*corev1.ReplicationController); is && rc.Spec.Template == nil {
			w = workload.Workload{Spec: &corev1.PodSpec{}} // it makes no pods
		} else {
			return workload.Workload{}, fmt.Errorf("the gate finds no pod in the %s", kind.Kind)
		}
	}
	if len(strict) > 0 {
		if err := unknownImages(raw, w); err != nil {
			return workload.Workload{}, err
		}
	}
	return w, nil
}

// imagesOf gives every place of a workload that names an image.
func imagesOf(w workload.Workload) []usedImage {
	var all []usedImage
	for c := range w.Containers() {
		all = append(all, usedImage{list: string(c.Type), name: c.Name, text: c.Image, pointer: c.Pointer("/image"), field: c.Field(".image")})
	}
	for i := range w.Spec.Volumes {
		v := &w.Spec.Volumes[i]
		if v.Image != nil {
			at := strconv.Itoa(i)
			all = append(all, usedImage{list: "volumes", name: v.Name, text: v.Image.Reference,
				pointer: w.Pointer + "/volumes/" + at + "/image/reference", field: w.Path + ".volumes[" + at + "].image.reference"})
		}
	}
	return all
}

// unknownImages refuses an object with a field that this version does not know and that
// may name an image: one that a newer API server knows how to run.
func unknownImages(raw []byte, w workload.Workload) error {
	var o any
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &o); err != nil {
		return fmt.Errorf("the object cannot be read: %w", err)
	}
	known := 0
	for _, u := range imagesOf(w) {
		if u.text != "" {
			known++
		}
	}
	if found := countImages(o); found > known {
		return fmt.Errorf("the object names %d images, of which the gate knows the place of %d\nhint: a gate of a newer version may know it", found, known)
	}
	return nil
}

// countImages counts the texts under "image", and those under "reference" in an "image".
func countImages(value any) int {
	n := 0
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			switch key {
			case "status", "metadata", "rbd", "csi", "flexVolume", "nodeSelector", "matchLabels":
				continue // what is called image there is none that runs
			}
			switch image := inner.(type) {
			case string:
				if key == "image" && image != "" {
					n++
				}
			case map[string]any:
				if reference, _ := image["reference"].(string); key == "image" && reference != "" {
					n++
					continue
				}
				n += countImages(inner)
			default:
				n += countImages(inner)
			}
		}
	case []any:
		for _, inner := range v {
			n += countImages(inner)
		}
	}
	return n
}

// incoming are the images that a request brings in: those of the object but for the ones
// that an update leaves in their place, under their name.
func incoming(r *admissionv1.AdmissionRequest) ([]usedImage, error) {
	w, err := decode(r.Object.Raw, r.Kind)
	if err != nil {
		return nil, err
	}
	images := imagesOf(w)
	if r.Operation != admissionv1.Update || len(r.OldObject.Raw) == 0 {
		return images, nil
	}
	before, err := decode(r.OldObject.Raw, r.Kind)
	if err != nil {
		return nil, fmt.Errorf("the object before the update: %w", err)
	}
	type place struct{ list, name, text string }
	there := map[place]bool{}
	for _, u := range imagesOf(before) {
		there[place{u.list, u.name, u.text}] = true
	}
	kept := images[:0]
	for _, u := range images {
		if !there[place{u.list, u.name, u.text}] {
			kept = append(kept, u)
		}
	}
	return kept, nil
}
