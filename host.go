package bailey

import "time"

// Host is a machine that runs part of the platform, as it is seen from itself.
type Host struct {
	// Node is the machine's name in the cluster, else its host name.
	Node string `json:"node"`
	// OS holds the keys of os-release (ID, VERSION_ID, VARIANT_ID, ...).
	OS map[string]string `json:"os,omitempty"`
	// Kernel is the kernel's release.
	Kernel string `json:"kernel,omitempty"`
	// Sysctls are the kernel settings that rules ask for, by name
	// ("kernel.panic"); one that is absent could not be read.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Mounts are the file systems of the system's own folders.
	Mounts []HostMount `json:"mounts,omitempty"`
	// PackageManagers are the programs found that install software.
	PackageManagers []string `json:"packageManagers,omitempty"`
	// SecurityModules are the kernel's active ones ("apparmor", "selinux").
	SecurityModules []string `json:"securityModules,omitempty"`
	// Lockdown is the kernel's mode of that name (none, integrity,
	// confidentiality); empty if it was not seen.
	Lockdown  string         `json:"lockdown,omitempty"`
	Listeners []HostListener `json:"listeners,omitempty"`
	// TimeSources are what the configuration of chrony, ntpd or timesyncd names.
	TimeSources []TimeSource `json:"timeSources,omitempty"`
	// Unseen are parts that could not be read: "mounts", "listeners", ...
	Unseen []string `json:"unseen,omitempty"`
}

// HostMount is a mounted file system.
type HostMount struct {
	Path string `json:"path"`
	Type string `json:"type"`
	// ReadOnly tells that nobody can write to it through this mount.
	ReadOnly bool     `json:"readOnly,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// HostListener is a socket that waits for connections or datagrams.
type HostListener struct {
	Protocol string `json:"protocol"` // tcp, udp
	Address  string `json:"address"`
	Port     int    `json:"port"`
	// Program is the name of the process; empty if it was not seen.
	Program string `json:"program,omitempty"`
}

// TimeSource is a server or pool that a machine takes its time from.
type TimeSource struct {
	Program string `json:"program"` // chrony, ntpd, timesyncd
	File    string `json:"file"`
	Server  string `json:"server"`
	// Authenticated tells that answers are verified: by NTS, or by a symmetric key.
	NTS bool `json:"nts,omitempty"`
	Key bool `json:"key,omitempty"`
	// Clock tells a clock of the machine itself, which Server names with its driver: "PHC /dev/ptp0".
	Clock bool `json:"clock,omitempty"`
}

// HostFile is a file, folder or socket on a machine that the platform's
// components use. Of its content nothing is kept but what Holds and KeyType say.
type HostFile struct {
	Node string `json:"node"`
	Path string `json:"path"`
	// Uses say who names it: "kubelet --kubeconfig", "kube-apiserver --tls-private-key-file".
	Uses []string `json:"uses"`
	Role FileRole `json:"role"`
	Type string   `json:"type"` // file, folder, socket
	// Mode holds the permission bits (0600); UID and GID its numeric owner.
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// Holds are the credentials that stand in it: "private key", "token", "password".
	Holds []string `json:"holds,omitempty"`
}

// FileRole is what a file is for.
type FileRole string

const (
	RoleKey         FileRole = "private key"
	RoleCertificate FileRole = "certificate"
	RoleKubeconfig  FileRole = "kubeconfig"
	RoleConfig      FileRole = "configuration"
	RoleManifest    FileRole = "static pod manifest"
	RoleService     FileRole = "service unit"
	RoleData        FileRole = "data folder"
	RoleLog         FileRole = "log"
	RoleSocket      FileRole = "socket"
	RolePKI         FileRole = "folder of keys"
	RoleCredential  FileRole = "credential"
	RoleNetwork     FileRole = "network configuration"
)

// HostCertificate is an X.509 certificate in a file on a machine.
type HostCertificate struct {
	Node string   `json:"node"`
	Path string   `json:"path"`
	Uses []string `json:"uses"`
	// Subject and Issuer are distinguished names (RFC 4514).
	Subject       string    `json:"subject"`
	CommonName    string    `json:"commonName,omitempty"`
	Organizations []string  `json:"organizations,omitempty"`
	Issuer        string    `json:"issuer"`
	DNSNames      []string  `json:"dnsNames,omitempty"`
	Addresses     []string  `json:"addresses,omitempty"`
	NotBefore     time.Time `json:"notBefore"`
	NotAfter      time.Time `json:"notAfter"`
	// KeyType and KeyBits say what key it certifies: "RSA" 2048, "ECDSA" 256, "Ed25519" 256.
	KeyType   string `json:"keyType"`
	KeyBits   int    `json:"keyBits"`
	Signature string `json:"signature"` // the algorithm: "SHA256-RSA"
	CA        bool   `json:"ca,omitempty"`
	Client    bool   `json:"client,omitempty"` // may be used to authenticate a client
	Server    bool   `json:"server,omitempty"` // may be used to authenticate a server
	// Key is the SHA-256 of the public key: two certificates with one Key share it.
	Key string `json:"key"`
}
