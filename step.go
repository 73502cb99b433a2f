package bailey

import "time"

// Step is one action of a probe. Exactly one of Request, Review, Task, Forge,
// Await, Etcd and Origin is set.
//
// Strings in a step may hold ${name}: what an earlier step of the probe bound,
// or one of the runner's own: ${run} (the run's id), ${image} (the probe image),
// ${apiserver} (host:port as seen from the prober), ${apiserverhost} (its host),
// ${apiservername} (the name its certificate is verified for), ${apiserverca} (PEM)
// and ${podapiserver} (host:port as seen from a pod). What is made for real has a name that begins
// with ProbePrefix + "${run}", or lies in a namespace of such a name.
type Step struct {
	Request *Request `json:"request,omitempty"`
	Review  *Review  `json:"review,omitempty"`
	Task    *Task    `json:"task,omitempty"`
	Forge   *Forge   `json:"forge,omitempty"`
	Await   *Await   `json:"await,omitempty"`
	Etcd    *Etcd    `json:"etcd,omitempty"`
	Origin  *Origin  `json:"origin,omitempty"`

	// Bind names parts of what the step returned, by dotted path
	// ("status.token", "items.0.metadata.name"), for later steps.
	Bind map[string]string `json:"bind,omitempty"`
	// Refusers are those who may refuse a try, the expected first. A step
	// without refusers must succeed.
	Refusers []Refuser `json:"refusers,omitempty"`
	// Mended, for a request, is a dotted path that an accepted answer must hold for
	// the platform to have put right what was tried: as good as a refusal.
	Mended string `json:"mended,omitempty"`
	// Within, if set, lets a try be accepted for a while, counted from the probe's first:
	// it is asked again until it is refused or the time is over (caches expire: 70 s for
	// a token). After it, one acceptance is an answer. A step of the setup may be refused
	// for a while: it is asked until it is accepted (authorizers learn of a new binding a
	// little later).
	Within time.Duration `json:"within,omitempty"`
}

// ProbePrefix begins the name of every namespace, and of every object outside
// of namespaces, that Bailey makes for an experiment.
const ProbePrefix = "bailey-probe-"

// Labels and annotation of what an experiment makes.
const (
	RunLabel   = "bailey.dev/run"   // the run's id
	ProbeLabel = "bailey.dev/probe" // "true"
	// OptInLabel on a namespace lets scheduled isolated and disruptive experiments act
	// upon it, if its value is "allowed".
	OptInLabel = "bailey.dev/experiments"
)

// Request is one request to the API server.
type Request struct {
	As Identity `json:"as,omitzero"`
	// Verb is get, list, create, update, patch or delete.
	Verb string `json:"verb"`
	// Resource is the plural name, with the API version it is asked at ("v1",
	// "apps/v1"). Path is given in their place for what is no resource ("/metrics").
	APIVersion  string `json:"apiVersion,omitempty"`
	Resource    string `json:"resource,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Name        string `json:"name,omitempty"`
	Path        string `json:"path,omitempty"`
	// Object is the body, as maps, lists and scalars; of a patch, a JSON merge patch,
	// or a strategic one where Strategic is set.
	Object    map[string]any `json:"object,omitempty"`
	Strategic bool           `json:"strategic,omitempty"`
	// Real asks for more than a server-side dry-run. Reads are always real; they
	// ask for metadata only (PartialObjectMetadata), so that a broken control
	// hands out no content, unless Content is set.
	Real    bool `json:"real,omitempty"`
	Content bool `json:"content,omitempty"`
}

// Identity is who makes a request. The zero identity is Bailey's prober.
type Identity struct {
	Anonymous bool `json:"anonymous,omitempty"`
	// Token is a bearer token, mostly "${name}".
	Token string `json:"token,omitempty"`
	// Certificate and Key are PEM, mostly "${name}".
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// User and Groups are impersonated: by the prober, where its grants name them, or
	// by the Token's owner.
	User   string   `json:"user,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Proxied sends User and Groups as a front proxy names its users, in
	// X-Remote-User headers, without the proxy's certificate.
	Proxied bool `json:"proxied,omitempty"`
}

// Review asks the API server's authorizer whether an identity may do something
// (SubjectAccessReview). Nothing is done. "No" counts as refused by
// RefuserAuthorization, "yes" as accepted.
type Review struct {
	User        string   `json:"user"`
	Groups      []string `json:"groups,omitempty"`
	Verb        string   `json:"verb"`
	Group       string   `json:"group,omitempty"`
	Resource    string   `json:"resource,omitempty"`
	Subresource string   `json:"subresource,omitempty"`
	Namespace   string   `json:"namespace,omitempty"`
	Name        string   `json:"name,omitempty"`
	Path        string   `json:"path,omitempty"`
}

// Task is a harmless action at one place: where the prober runs, or in a probe
// pod. Exactly one of the actions is set. A pod that does a task runs
// `bailey probe`, and reports by its termination message.
type Task struct {
	In *ProbePod `json:"in,omitempty"`

	Dial *Dial `json:"dial,omitempty"`
	// Listen makes the pod a server: it answers every TCP connection on the port
	// with a line, says at its end how many bytes came, and lives until the probe
	// ends. The step is done once the pod's node has connected to it, and returns the
	// Pod. A refusal by the network counts only while the listeners of the setup are there.
	Listen int `json:"listen,omitempty"`
	// Send makes the pod a sender, which lives like a listener.
	Send *Send `json:"send,omitempty"`
	// Wire looks for a marker in what leaves the node.
	Wire *Wire `json:"wire,omitempty"`
	// Export tries to list what a storage server exports.
	Export *Export `json:"export,omitempty"`
	// Syscall names a system call that is made with harmless arguments; see the
	// list of prove/probe.
	Syscall string `json:"syscall,omitempty"`
	// Kernel reads which kernel the place sees, as "kernel". Where it names one,
	// the step is accepted if that is the one, and refused by RefuserKernel if it is
	// another (a sandbox's own).
	Kernel *string `json:"kernel,omitempty"`
}

// ProbePod is a pod of Bailey's own, made for one step and removed after it (a
// listener: after the probe). It is restricted by the Pod Security Standard
// unless Spec says otherwise.
type ProbePod struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Spec is merged into the pod's spec (JSON merge patch); Container into its container.
	Spec      map[string]any `json:"spec,omitempty"`
	Container map[string]any `json:"container,omitempty"`
}

// Lives reports whether the task goes on until the probe ends.
func (t *Task) Lives() bool { return t.Listen > 0 || t.Send != nil }

// Send sends a marker and random bytes to a listener, again and again, each time by
// a new connection. On Port it tells everybody who connects how often all of it arrived.
type Send struct {
	To     string `json:"to"` // host:port of a pod that listens
	Marker string `json:"marker"`
	Port   int    `json:"port"`
}

// Wire looks for a marker in the packets that leave the node by its own network
// devices, below what encrypts between pods and nodes. It needs a pod on the host's
// network with CAP_NET_RAW. Nothing of the packets is kept: it reports whether the
// marker was among them. The step is accepted where it was, and refused by
// RefuserTransit where it was not, although it arrived at its destination meanwhile and
// as many bytes left by these devices. What is sent is not the marker's text but a
// digest of it, so that the pod's own arguments cannot be taken for it.
type Wire struct {
	Marker string `json:"marker"`
	// Sender is the host:port at which the sender tells how often its marker arrived.
	Sender string `json:"sender,omitempty"`
	// To are the IP addresses to which what carries the marker may go: that of the
	// listener and that of its node.
	To []string `json:"to"`
	// Datagram, in the place of a sender, sends the marker from here, by UDP, to this
	// host:port. Then it has to be seen.
	Datagram string        `json:"datagram,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // 20 s if zero
}

// Export reaches for an NFS export by a client in user space, as root and without any
// credential that says so, and lists its uppermost folder: by version 4.0, and by
// version 3 with the mount service. Where the files' permissions refuse root, it claims to be
// their owner and of their group. Nothing of the list is kept. It is accepted where one
// version lists, and refused by RefuserAuthorization (the export is not for this
// address) or RefuserAuthentication (a credential is asked for) where none does. What permissions of
// files refuse to all of these users shows nothing: another number may be let in.
type Export struct {
	Server string `json:"server"` // host name or address
	Path   string `json:"path"`
	// Port is that of NFS, and MountPort that of the mount service; zero means 2049, and
	// what the portmapper says.
	Port      int `json:"port,omitempty"`
	MountPort int `json:"mountPort,omitempty"`
	// Null only calls the procedure that does nothing: does the server live?
	Null bool `json:"null,omitempty"`
}

// Dial opens a connection and, if HTTP is set, sends one request. The answer's
// status tells acceptance (2xx, 3xx) from refusal (401: authentication, 403:
// authorization; a redirect from plain text to https: RefuserRedirect); a connection
// that is not made is refused by RefuserNetwork, one that ends in the handshake by
// RefuserTLS.
type Dial struct {
	Address string `json:"address"` // host:port
	TLS     *TLS   `json:"tls,omitempty"`
	HTTP    string `json:"http,omitempty"` // path of a GET
	// Plain sends `OPTIONS *` in plain text, which asks a server for nothing, and judges
	// by what comes back: an answer is acceptance; a connection that is closed without
	// one, or by a TLS alert, is refused by RefuserTLS; one that the mesh's proxy signs as its
	// own is refused by RefuserAuthorization.
	Plain bool `json:"plain,omitempty"`
	// TLSAt is the host:port at which TLS must be spoken for a connection that is closed on plain text
	// to count as turned down by it; Address if empty. A mesh's proxy may take TLS at a port of its own.
	TLSAt string `json:"tlsAt,omitempty"`
	Host  string `json:"host,omitempty"` // that the request is for; the address if empty
	Token string `json:"token,omitempty"`
	// OwnToken sends the token that is mounted into the probe pod.
	OwnToken bool          `json:"ownToken,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // 3 s if zero
	// After is waited first: the network learns of a new pod a little after its start,
	// and what it lets through or refuses until then is not what is asked.
	After time.Duration `json:"after,omitempty"`
	// First, if set, is a host:port that is connected to before, again and again for at
	// most 30 s. Where that fails nothing is learned: the place has no network.
	First string `json:"first,omitempty"`
}

// TLS says how a handshake is made.
type TLS struct {
	// MaxVersion is "1.0" to "1.3"; empty means 1.3.
	MaxVersion string `json:"maxVersion,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	// CA is the PEM that the server's certificate is verified against; empty means
	// that it is not verified: what is asked is how the server treats the client.
	CA string `json:"ca,omitempty"`
	// Invalid turns the question round: the step is accepted only if the server's
	// certificate is over or is not for ServerName, and refused by RefuserTLS if it is
	// valid. It is verified against CA, or the system's roots if CA is empty; one of an
	// authority that these do not know shows nothing.
	Invalid bool `json:"invalid,omitempty"`
	// Met accepts as soon as the server has shown a certificate, whatever it then says
	// to a client that has none.
	Met bool `json:"met,omitempty"`
	// VersionOnly asks which version is spoken and nothing else. The server accepts by
	// choosing one and showing its certificate, whatever it then wants of the client,
	// and refuses by saying that it does not speak the version. Anything else shows
	// nothing.
	VersionOnly bool `json:"versionOnly,omitempty"`
	// Protocols are offered for what follows the handshake (ALPN).
	Protocols   []string `json:"protocols,omitempty"`
	Certificate string   `json:"certificate,omitempty"`
	Key         string   `json:"key,omitempty"`
}

// Forge makes a credential without the platform's help. It binds, by the names
// given in Step.Bind: "certificate" and "key" (PEM), "encoded" (the certificate in
// base64), "request" (a PEM CertificateSigningRequest in base64) or "token".
type Forge struct {
	// What is one of the Forge constants.
	What          string   `json:"what"`
	CommonName    string   `json:"commonName,omitempty"` // of a token, its subject
	Organizations []string `json:"organizations,omitempty"`
	// Issuer is that of a token, and its audience; empty means Kubernetes' default.
	Issuer string `json:"issuer,omitempty"`
	// Token is the real one that is altered.
	Token string `json:"token,omitempty"`
}

// What can be forged.
const (
	ForgeSelfSigned    = "self-signed"    // a client certificate that signed itself
	ForgeExpired       = "expired"        // the same, and over
	ForgeAuthority     = "authority"      // a certificate authority that signed itself
	ForgeRequest       = "request"        // a certificate request, which is no credential yet
	ForgeToken         = "token"          // a ServiceAccount token signed by a key that nobody trusts
	ForgeUnsignedToken = "unsigned token" // one that says it needs no signature (RFC 7519, section 6)
	ForgeAlteredToken  = "altered token"  // a real one with another subject and the old signature
)

// Await reads an object until a field has one of the values, or until it has
// gone if Gone is set.
type Await struct {
	APIVersion string        `json:"apiVersion"`
	Resource   string        `json:"resource"`
	Namespace  string        `json:"namespace,omitempty"`
	Name       string        `json:"name"`
	Field      string        `json:"field,omitempty"` // dotted path
	Values     []string      `json:"values,omitempty"`
	Gone       bool          `json:"gone,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"` // 60 s if zero
}

// Etcd reads what is stored, at the storage itself or in a snapshot file. Of each
// value only the encryption prefix and the key's id are kept. The step is
// refused by RefuserEncryption where every value under the prefix is encrypted
// with the key of the newest one, and accepted where one is not; the message
// counts them by key and names the first objects, never a content.
type Etcd struct {
	Prefix string `json:"prefix"` // "/registry/secrets/"
	// Holds, if set, asks in place of that whether the storage is this cluster's: the
	// step is accepted if the value of the key Prefix holds this text (a UID), or
	// where that value is encrypted, if it was changed last at Revision.
	Holds    string `json:"holds,omitempty"`
	Revision string `json:"revision,omitempty"`
}

// Origin makes a ConfigMap and asks the API server's audit log where it came from.
// The step is accepted if the log holds a request that made it, and refused by
// RefuserDetection if the log covers that moment and records ConfigMaps, and holds
// none. The ConfigMap is removed again.
type Origin struct {
	Namespace string `json:"namespace"` // of the run's own
	// Name is that of the ConfigMap, to which a number is added.
	Name string `json:"name"`
	// Past, for disruptive experiments, writes it straight into etcd, past the API server.
	Past bool `json:"past,omitempty"`
}

// Refuser is the part of the platform that turns something down.
type Refuser string

const (
	RefuserAuthentication Refuser = "authentication"
	RefuserAuthorization  Refuser = "authorization"
	RefuserPodSecurity    Refuser = "PodSecurity"
	RefuserPolicy         Refuser = "ValidatingAdmissionPolicy"
	RefuserWebhook        Refuser = "webhook"
	RefuserQuota          Refuser = "ResourceQuota"
	RefuserLimitRange     Refuser = "LimitRange"
	RefuserNodes          Refuser = "NodeRestriction"
	RefuserSigning        Refuser = "CertificateSubjectRestriction" // and its siblings for approval and signing
	RefuserEscalation     Refuser = "RBAC escalation check"
	RefuserServiceAccount Refuser = "ServiceAccount"
	RefuserNetwork        Refuser = "network"
	RefuserTLS            Refuser = "TLS"
	RefuserRedirect       Refuser = "redirect to TLS"
	RefuserKernel         Refuser = "kernel" // seccomp, a Linux security module, permissions
	RefuserEncryption     Refuser = "encryption at rest"
	RefuserTransit        Refuser = "encryption in transit"
	// RefuserFailedCall is a webhook of an experiment's own that fails closed: nobody
	// answered the API server. Other webhooks that are down refuse nothing that counts.
	RefuserFailedCall Refuser = "webhook without an answer"
	RefuserDetection  Refuser = "detection" // it was done, and it is told from what the platform did itself
)
