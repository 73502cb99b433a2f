package gate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/imageref"
)

// A break-glass grant is a Lease with imagegate.GrantLabel: something native that ends by
// itself, holds nothing confidential, and that RBAC can let the gate list.
const (
	digestAnnotation  = "gate.bailey.dev/digest"
	reasonAnnotation  = "gate.bailey.dev/reason"
	grantorAnnotation = "gate.bailey.dev/granted-by" // JSON of the UserInfo; the gate writes it
	sealAnnotation    = "gate.bailey.dev/seal"       // the gate writes it

	// MaxGrant is how long a grant may last.
	MaxGrant  = 24 * time.Hour
	minReason = 10
	maxReason = 1000
)

// The verb that whoever makes a grant must hold, and what on.
const (
	GrantVerb     = "breakglass"
	GrantGroup    = "gate.bailey.dev"
	GrantResource = "images"
)

// Grants is break-glass. Its functions may be called from many goroutines.
type Grants struct {
	// List gives the Leases of the namespace that bear imagegate.GrantLabel.
	List func(ctx context.Context, namespace string) ([]coordinationv1.Lease, error)
	// May reports whether the identity holds GrantVerb on GrantResource in the namespace.
	May func(ctx context.Context, who authenticationv1.UserInfo, namespace string) (bool, error)
	// Key gives the key of the seals, the same in all replicas; empty while there is none.
	Key func() []byte
}

// grant is a Lease that is one, read.
type grant struct {
	namespace, name string
	digest, reason  string
	grantor         string // JSON of who
	who             authenticationv1.UserInfo
	from            time.Time
	lasts           time.Duration
	seal            string
}

func (g *grant) until() time.Time { return g.from.Add(g.lasts) }

func (g *grant) String() string {
	return fmt.Sprintf("Lease %s/%s of %s until %s: %s", g.namespace, g.name, g.who.Username, g.until().UTC().Format(time.RFC3339), g.reason)
}

// readGrant reads what the grantor writes.
func readGrant(l *coordinationv1.Lease) (*grant, error) {
	g := &grant{namespace: l.Namespace, name: l.Name, digest: l.Annotations[digestAnnotation], reason: l.Annotations[reasonAnnotation],
		grantor: l.Annotations[grantorAnnotation], seal: l.Annotations[sealAnnotation]}
	ref, err := imageref.Parse("x@" + g.digest)
	switch {
	case g.name == "":
		return nil, errors.New("a grant needs a name, no generateName")
	case err != nil || ref.Digest != g.digest:
		return nil, fmt.Errorf("a grant needs the annotation %s with the image's digest, sha256:…", digestAnnotation)
	case len(strings.TrimSpace(g.reason)) < minReason || len(g.reason) > maxReason:
		return nil, fmt.Errorf("a grant needs the annotation %s with %d to %d characters", reasonAnnotation, minReason, maxReason)
	case l.Spec.LeaseDurationSeconds == nil || *l.Spec.LeaseDurationSeconds <= 0 || time.Duration(*l.Spec.LeaseDurationSeconds)*time.Second > MaxGrant:
		return nil, fmt.Errorf("a grant needs spec.leaseDurationSeconds, at most %d", int(MaxGrant/time.Second))
	}
	g.lasts = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	if l.Spec.AcquireTime != nil {
		g.from = l.Spec.AcquireTime.Time
	}
	return g, nil
}

// sealOf is a MAC over all that a grant says.
func (g *grant) sealOf(key []byte) string {
	mac := hmac.New(sha256.New, key)
	text, _ := json.Marshal([]string{"bailey gate grant 1", g.namespace, g.name, g.digest, g.reason, g.grantor, g.from.UTC().Format(time.RFC3339), g.lasts.String()}) // of strings
	mac.Write(text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

var errNoKey = errors.New("this gate has no key to seal grants with\nhint: --grant-key FILE, where it does not keep its keys in a Secret")

// sealed reads a Lease that the gate sealed, and nothing else.
func (s *Grants) sealed(l *coordinationv1.Lease) (*grant, error) {
	key := s.Key()
	if len(key) == 0 {
		return nil, errNoKey
	}
	g, err := readGrant(l)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(g.seal), []byte(g.sealOf(key))) {
		return nil, errors.New("it bears no seal of the gate: it was changed, copied, or made past the gate")
	}
	if err := json.Unmarshal([]byte(g.grantor), &g.who); err != nil {
		return nil, fmt.Errorf("its grantor cannot be read: %w", err)
	}
	return g, nil
}

// find gives a grant for the digest that holds now. The error says why those that are there
// do not; it is nil where there is none.
func (s *Grants) find(ctx context.Context, namespace, digest string, now time.Time) (*grant, error) {
	leases, err := s.List(ctx, namespace)
	if err != nil {
		return nil, fmt.Errorf("the grants cannot be read: %w", err)
	}
	var why error
	for i := range leases {
		l := &leases[i]
		if l.Annotations[digestAnnotation] != digest || l.Namespace != namespace {
			continue
		}
		g, err := s.sealed(l)
		switch {
		case err != nil:
			why = fmt.Errorf("the Lease %s grants nothing: %w", l.Name, err)
			continue
		case !now.Before(g.until()):
			why = fmt.Errorf("the Lease %s ended at %s", l.Name, g.until().UTC().Format(time.RFC3339))
			continue
		}
		may, err := s.May(ctx, g.who, namespace)
		switch {
		case err != nil:
			why = fmt.Errorf("whether %s may still grant cannot be asked: %w", g.who.Username, err)
		case !may:
			why = fmt.Errorf("the Lease %s is of %s, who may not grant any more", l.Name, g.who.Username)
		default:
			return g, nil
		}
	}
	return nil, why
}

// seal answers the mutating webhook: a grant of somebody who may gets the gate's seal.
func (g *Gate) seal(ctx context.Context, d *Decision, r *admissionv1.AdmissionRequest) {
	lease, ok := g.lease(d, r)
	if !ok {
		return
	}
	if r.Operation == admissionv1.Update {
		d.Decision = outUnchanged // the validating webhook refuses what changes
		return
	}
	s := g.o.Grants
	key := s.Key()
	if len(key) == 0 {
		d.refuse(outUndecided, errNoKey.Error())
		return
	}
	lease.Namespace = r.Namespace
	made, err := readGrant(lease)
	if err != nil {
		d.refuse(outRefused, err.Error())
		return
	}
	may, err := s.May(ctx, r.UserInfo, r.Namespace)
	if err != nil {
		d.refuse(outUndecided, "whether "+r.UserInfo.Username+" may grant cannot be asked: "+err.Error())
		return
	}
	if !may {
		d.refuse(outRefused, fmt.Sprintf("%s does not hold the verb %s on %s.%s in namespace %s, which a break-glass grant takes", r.UserInfo.Username, GrantVerb, GrantResource, GrantGroup, r.Namespace))
		return
	}
	who, err := json.Marshal(r.UserInfo)
	if err != nil {
		d.refuse(outUndecided, err.Error())
		return
	}
	made.grantor, made.who, made.from = string(who), r.UserInfo, g.o.Now().UTC().Truncate(time.Second)
	notes := maps.Clone(lease.Annotations)
	notes[grantorAnnotation], notes[sealAnnotation] = made.grantor, made.sealOf(key)
	spec := lease.Spec
	spec.HolderIdentity, spec.AcquireTime = &made.who.Username, &metav1.MicroTime{Time: made.from}
	d.patch = []patchOp{{"add", "/metadata/annotations", notes}, {"add", "/spec", spec}}
	d.Decision, d.Grant = outGranted, made.String()
}

// checkGrant answers the validating webhook: a grant is as the gate sealed it, and stays so.
func (g *Gate) checkGrant(d *Decision, r *admissionv1.AdmissionRequest) {
	lease, ok := g.lease(d, r)
	if !ok {
		return
	}
	lease.Namespace = r.Namespace
	made, err := g.o.Grants.sealed(lease)
	if err != nil {
		d.refuse(outRefused, "the break-glass grant is not valid: "+err.Error())
		return
	}
	_, labelled := lease.Labels[imagegate.GrantLabel]
	if r.Operation == admissionv1.Update {
		var before coordinationv1.Lease
		if err := kjson.UnmarshalCaseSensitivePreserveInts(r.OldObject.Raw, &before); err != nil {
			d.refuse(outRefused, "the object before the update cannot be read: "+err.Error())
			return
		}
		_, was := before.Labels[imagegate.GrantLabel]
		if !was || !labelled || before.Annotations[sealAnnotation] != made.seal {
			d.refuse(outRefused, "a break-glass grant cannot be changed, nor a Lease made into one\nhint: delete it, and make another")
			return
		}
	}
	d.Decision = outUnchanged
}

// lease reads the request's Lease; false if it was answered.
func (g *Gate) lease(d *Decision, r *admissionv1.AdmissionRequest) (*coordinationv1.Lease, bool) {
	var lease coordinationv1.Lease
	switch {
	case r.Kind.Group != "coordination.k8s.io" || r.Kind.Kind != "Lease" || r.Kind.Version != "v1":
		d.refuse(outRefused, fmt.Sprintf("a break-glass grant is a Lease, not a %q", r.Kind.Kind))
	case r.Operation == admissionv1.Delete:
		d.Decision = outUnchanged
	case g.exempt[r.Namespace]:
		d.Decision = outExempt
	case r.Operation != admissionv1.Create && r.Operation != admissionv1.Update:
		d.refuse(outRefused, fmt.Sprintf("the gate does not know the operation %q", r.Operation))
	case g.o.Grants == nil:
		d.refuse(outRefused, "this gate knows no break-glass\nhint: it takes a ledger (--ledger), where each use is recorded")
	default:
		if err := kjson.UnmarshalCaseSensitivePreserveInts(r.Object.Raw, &lease); err != nil {
			d.refuse(outRefused, "the Lease cannot be read: "+err.Error())
			return nil, false
		}
		return &lease, true
	}
	return nil, false
}

// GrantLease is the Lease by which somebody asks for a grant; the gate completes it.
func GrantLease(name, digest string, lasts time.Duration, reason string) *coordinationv1.Lease {
	seconds := int32(lasts / time.Second)
	return &coordinationv1.Lease{
		TypeMeta: metav1.TypeMeta{APIVersion: coordinationv1.SchemeGroupVersion.String(), Kind: "Lease"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{imagegate.GrantLabel: ""},
			Annotations: map[string]string{digestAnnotation: digest, reasonAnnotation: reason}},
		Spec: coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds},
	}
}
