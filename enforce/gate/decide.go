package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/baileyhq/bailey/derive/imagegate"
	"github.com/baileyhq/bailey/derive/imageref"
)

// outcome is what a request comes to. All but the first five refuse.
type outcome string

const (
	outAdmitted  outcome = "admitted"
	outUnchanged outcome = "unchanged" // it brings no image in
	outExempt    outcome = "exempt"
	outGranted   outcome = "granted" // by break-glass
	outWarned    outcome = "warned"  // by a gate that only warns, which else would refuse it
	outRefused   outcome = "refused"
	outUndecided outcome = "undecided" // refused, since it could not be decided
)

func (o outcome) allows() bool {
	return o == outAdmitted || o == outUnchanged || o == outExempt || o == outGranted || o == outWarned
}

// worse gives the one that a request with both comes to.
func worse(a, b outcome) outcome {
	order := []outcome{outExempt, outUnchanged, outAdmitted, outGranted, outUndecided, outRefused}
	for i := len(order) - 1; i >= 0; i-- {
		if a == order[i] || b == order[i] {
			return order[i]
		}
	}
	return outRefused
}

// Review judges a request that came for a webhook (imagegate.ImagesWebhook, …). It never
// fails: what goes wrong refuses, or warns.
func (g *Gate) Review(ctx context.Context, webhook string, r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	begin := time.Now()
	d := g.decide(ctx, webhook, r)
	d.Gate, d.Webhook = g.o.Record.name(), webhook
	if t := g.trust.Load(); t != nil {
		d.Policy = t.Revision
	}
	d.about(r, g.o.Now())
	g.judged.Add(1)
	if !d.Decision.allows() {
		g.objected.Add(1)
	}
	g.soften(d)
	if err := g.keep(ctx, r, d); err != nil {
		d.refuse(outUndecided, "its use could not be written into the ledger: "+err.Error())
		d.patch = nil
		g.soften(d)
	}
	g.metrics.requests.WithLabelValues(webhook, string(d.Decision)).Inc()
	g.metrics.seconds.WithLabelValues(webhook).Observe(time.Since(begin).Seconds())
	return d.response(r)
}

// soften makes a warning of a refusal, in a gate that only warns.
func (g *Gate) soften(d *Decision) {
	if g.o.Warn && !d.Decision.allows() {
		d.Decision = outWarned
	}
}

func (g *Gate) decide(ctx context.Context, webhook string, r *admissionv1.AdmissionRequest) (d *Decision) {
	d = &Decision{Decision: outRefused}
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("panic while deciding", "uid", r.UID, "panic", p, "stack", string(debug.Stack()))
			d = &Decision{}
			d.refuse(outUndecided, fmt.Sprintf("the gate failed by a defect of Bailey: %v", p))
		}
	}()
	if r.Namespace == "" || len(r.UID) == 0 || len(r.UID) > 128 {
		d.refuse(outRefused, "the request names no namespace, or has no UID")
		return d
	}
	switch webhook {
	case imagegate.ImagesWebhook, imagegate.PinWebhook:
		switch {
		case g.trust.Load() == nil:
			d.refuse(outRefused, "the gate was not told whom to trust\nhint: take the webhook "+webhook+" out of its configuration")
		case g.o.Warn && webhook == imagegate.PinWebhook:
			d.Decision = outUnchanged // it writes nothing
		default:
			g.decideImages(ctx, d, r, webhook == imagegate.PinWebhook)
		}
	case imagegate.SealWebhook:
		g.seal(ctx, d, r)
	case imagegate.GrantWebhook:
		g.checkGrant(d, r)
	case imagegate.RulesWebhook:
		g.decideRules(ctx, d, r)
	default:
		d.refuse(outRefused, "the gate has no webhook "+webhook)
	}
	return d
}

// settled decides what no look into the object is needed for.
func (g *Gate) settled(d *Decision, r *admissionv1.AdmissionRequest) bool {
	switch {
	case newObject(r.Kind) == nil:
		d.refuse(outRefused, fmt.Sprintf("the gate does not know objects of kind %q in %q\nhint: the webhook configuration sends it more than `bailey gate --print` says", r.Kind.Kind, r.Kind.Group+"/"+r.Kind.Version))
	case g.exempt[r.Namespace]:
		d.Decision = outExempt
	case r.Operation == admissionv1.Delete:
		d.Decision = outUnchanged
	case r.Operation != admissionv1.Create && r.Operation != admissionv1.Update:
		d.refuse(outRefused, fmt.Sprintf("the gate does not know the operation %q", r.Operation))
	default:
		return false
	}
	return true
}

func (g *Gate) decideImages(ctx context.Context, d *Decision, r *admissionv1.AdmissionRequest, pin bool) {
	if g.settled(d, r) {
		return
	}
	images, err := incoming(r)
	switch {
	case err != nil:
		d.refuse(outRefused, err.Error())
		return
	case len(images) > maxImages:
		d.refuse(outRefused, fmt.Sprintf("it names %d images, more than %d", len(images), maxImages))
		return
	case len(images) == 0:
		d.Decision = outUnchanged
		return
	}
	d.Images = make([]ImageDecision, len(images))
	pins := make([]string, len(images))
	var group errgroup.Group
	group.SetLimit(atOnce)
	t := g.trust.Load()
	for i, u := range images {
		one := func() {
			defer func() {
				if p := recover(); p != nil {
					g.log.Error("panic while judging an image", "image", u.text, "panic", p, "stack", string(debug.Stack()))
					d.Images[i] = ImageDecision{Image: u.text, Place: u.place(), Decision: outUndecided, Reason: fmt.Sprintf("the gate failed by a defect of Bailey: %v", p)}
				}
			}()
			if pin {
				d.Images[i], pins[i] = g.pin(ctx, t, r, u)
			} else {
				d.Images[i] = g.judge(ctx, t, r, u)
			}
		}
		if len(images) == 1 {
			one()
			break
		}
		group.Go(func() error { one(); return nil })
	}
	_ = group.Wait()
	d.Decision = outUnchanged
	for i := range d.Images {
		d.Decision = worse(d.Decision, d.Images[i].Decision)
	}
	if d.Decision.allows() {
		d.pinned(images, pins)
	} else {
		d.explain()
	}
}

// filledInLater tells an image that something else writes when the pod is made: none at
// all in a template, and Istio's proxy.
func filledInLater(u usedImage) bool {
	return u.text == "" || u.text == "auto" && u.name == "istio-proxy"
}

func isPod(r *admissionv1.AdmissionRequest) bool { return r.Kind.Kind == "Pod" }

// pin gives the reference with the digest that its tag has now; "" if it stays.
func (g *Gate) pin(ctx context.Context, t *Trust, r *admissionv1.AdmissionRequest, u usedImage) (ImageDecision, string) {
	d := ImageDecision{Image: u.text, Place: u.place(), Decision: outUnchanged}
	ref, err := parse(u.text)
	if err != nil || ref.Pinned() || filledInLater(u) || g.o.PinPodsOnly && !isPod(r) {
		return d, "" // the other webhook judges it
	}
	if unnamed, _ := t.Unnamed(r.Namespace, ref); unnamed {
		return d, "" // whatever registry a stranger writes would be asked
	}
	digest, err := g.tags.digest(ctx, t, r.Namespace, ref)
	if err != nil {
		d.fail(ref, err)
		return d, ""
	}
	d.Digest = digest
	text := u.text
	if ref.Tag == "" {
		text += ":" + imageref.DefaultTag
	}
	return d, text + "@" + digest
}

// judge asks whether an image may come in.
func (g *Gate) judge(ctx context.Context, t *Trust, r *admissionv1.AdmissionRequest, u usedImage) ImageDecision {
	d := ImageDecision{Image: u.text, Place: u.place(), Decision: outUnchanged}
	if filledInLater(u) && !isPod(r) {
		return d
	}
	ref, err := parse(u.text)
	if err != nil {
		d.Decision, d.Reason = outRefused, "the reference "+err.Error()
		return d
	}
	unnamed, err := t.Unnamed(r.Namespace, ref)
	switch {
	case unnamed && err == nil:
		d.Decision, d.Digest, d.By = outAdmitted, ref.Digest, "nobody, which the trust policy admits"
		return d
	case unnamed:
		d.Digest = ref.Digest
		d.fail(ref, err)
		if ref.Pinned() {
			g.breakglass(ctx, r, &d)
		}
		return d
	}
	if !ref.Pinned() {
		if isPod(r) && !g.o.Warn { // one that warns pins nothing
			d.Decision, d.Reason, d.Hint = outRefused, "names no digest", "the gate pins tags itself, by its MutatingWebhookConfiguration: is it in place, and does another webhook write images after it?"
			return d
		}
		if ref.Digest, err = g.tags.digest(ctx, t, r.Namespace, ref); err != nil {
			ref.Digest = ""
			d.fail(ref, err)
			return d
		}
	}
	d.Digest = ref.Digest
	verdict, err := g.cache.verdict(ctx, t, r.Namespace, ref)
	if err == nil {
		d.Decision, d.By = outAdmitted, verdict.By
		return d
	}
	d.fail(ref, err)
	g.breakglass(ctx, r, &d)
	return d
}

// breakglass admits a refused image if a grant names its digest.
func (g *Gate) breakglass(ctx context.Context, r *admissionv1.AdmissionRequest, d *ImageDecision) {
	if g.o.Grants == nil {
		return
	}
	grant, why := g.o.Grants.find(ctx, r.Namespace, d.Digest, g.o.Now())
	switch {
	case grant != nil:
		d.Decision, d.Grant = outGranted, grant.String()
		if !dryRun(r) {
			g.metrics.granted.Inc()
		}
	case why != nil:
		d.Reason += "; nor by break-glass: " + why.Error()
	}
}

// keep writes a decision into the log, and into the ledger if there is one. Only what
// break-glass admits waits until it is on the disk.
func (g *Gate) keep(ctx context.Context, r *admissionv1.AdmissionRequest, d *Decision) error {
	if d.Decision.allows() && d.Decision != outWarned && len(d.Unjudged) == 0 && len(d.Findings) == 0 && (d.Decision != outGranted && d.Webhook != imagegate.ImagesWebhook || d.Decision == outUnchanged || d.Decision == outExempt) {
		return nil
	}
	if d.Decision != outAdmitted {
		g.log.Warn("an admission request was "+string(d.Decision), "webhook", d.Webhook, "uid", d.UID, "namespace", d.Namespace, "kind", d.Kind, "name", d.Name, "user", d.User, "dryRun", dryRun(r), "reason", d.Reason)
	}
	if g.o.Record == nil || dryRun(r) {
		return nil
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	record := Record{ID: "gate/" + d.UID + "/" + d.Webhook, Data: data}
	if d.Decision == outGranted {
		return g.o.Record.must(ctx, record)
	}
	g.o.Record.put(record)
	return nil
}

func dryRun(r *admissionv1.AdmissionRequest) bool { return r.DryRun != nil && *r.DryRun }

// response is the decision in the API server's terms.
func (d *Decision) response(r *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	a := &admissionv1.AdmissionResponse{UID: types.UID(r.UID), Allowed: d.Decision.allows()}
	if !a.Allowed {
		code, reason := int32(http.StatusForbidden), metav1.StatusReasonForbidden
		if d.Decision == outUndecided {
			code, reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
		}
		a.Result = &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: d.Reason}
		return a
	}
	if len(d.patch) > 0 {
		kind := admissionv1.PatchTypeJSONPatch
		patch, err := json.Marshal(d.patch)
		if err != nil {
			return d.refuse(outUndecided, "the patch cannot be written: "+err.Error()).response(r)
		}
		a.Patch, a.PatchType = patch, &kind
	}
	if d.Decision == outWarned {
		for _, text := range d.against {
			a.Warnings = append(a.Warnings, "Bailey would refuse this: "+strings.ReplaceAll(text, "\n", "; "))
		}
	}
	for _, u := range d.Unjudged {
		a.Warnings = append(a.Warnings, "not judged: "+u)
	}
	a.Warnings = append(a.Warnings, d.Waived...)
	for _, i := range d.Images {
		if i.Decision == outGranted {
			a.Warnings = append(a.Warnings, fmt.Sprintf("image %s is admitted by break-glass only: %s", short(i.Image), i.Grant))
			a.AuditAnnotations = map[string]string{"breakglass": i.Grant}
		}
	}
	return a
}

const maxShown = 10

// explain makes the reason of a request from those of its images.
func (d *Decision) explain() {
	d.against = nil
	more := 0
	for i := range d.Images {
		one := &d.Images[i]
		if one.Decision.allows() {
			continue
		}
		if len(d.against) == maxShown {
			more++
			continue
		}
		var b strings.Builder
		fmt.Fprintf(&b, "image %s of %s %s", short(one.Image), one.Place, one.Reason)
		if one.Rule != "" {
			fmt.Fprintf(&b, " (rule %s)", one.Rule)
		}
		if one.Hint != "" {
			b.WriteString("\nhint: " + one.Hint)
		}
		d.against = append(d.against, b.String())
	}
	if more > 0 {
		d.against = append(d.against, fmt.Sprintf("and %d more images", more))
	}
	d.Reason = strings.Join(d.against, "\n")
}

// short cuts a stranger's text.
func short(text string) string {
	const most = 300
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// fail notes why an image does not come in.
func (d *ImageDecision) fail(ref imageref.Ref, err error) {
	name := ref.Name()
	if ref.Digest != "" {
		name += "@" + ref.Digest
	} else {
		name += ":" + tagOf(ref)
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		d.Decision, d.Rule, d.Reason, d.Hint = outRefused, refusal.Rule, refusal.Reason, refusal.Hint
		if d.Hint == "" {
			d.Hint = "bailey sign " + name
		} else {
			d.Hint += "; bailey verify " + name + " shows all of it"
		}
		return
	}
	d.Decision, d.Reason = outUndecided, "could not be judged: "+err.Error()
	d.Hint = "try again; a digest that was verified before is admitted also while its registry is down"
}
