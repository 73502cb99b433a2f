package node

import (
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/baileyhq/bailey"
	"github.com/baileyhq/bailey/collect/redact"
)

// document reads a configuration file, YAML or JSON, without its secrets, and notes with
// the file that it holds some; nil if it is none.
func (c *collector) document(p *process, f *bailey.HostFile, name string) map[string]any {
	text, err := readBounded(c.at(p, name), maxDocument)
	if err != nil {
		c.skip(name, err)
		return nil
	}
	var document map[string]any
	if yaml.Unmarshal(text, &document) != nil || document["kind"] == nil && document["apiVersion"] == nil {
		return nil // a list of certificates, a token file
	}
	if withoutKeys(document) && f != nil && len(f.Holds) == 0 {
		f.Holds = []string{"secret"}
	}
	redact.Object(document)
	return document
}

// withoutKeys takes the keys of an EncryptionConfiguration away, whatever they look like,
// and reports whether there were any.
func withoutKeys(value any) (found bool) {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			if _, isText := inner.(string); isText && (k == "secret" || strings.HasSuffix(k, "-data") || k == "token" || k == "password") {
				v[k] = bailey.Redact(bailey.ClassOpaque)
				found = true
				continue
			}
			found = withoutKeys(inner) || found
		}
	case []any:
		for _, inner := range v {
			found = withoutKeys(inner) || found
		}
	}
	return found
}

// kubeconfig is what is read of one.
type kubeconfig struct {
	Clusters []struct {
		Cluster struct {
			Authority     string `json:"certificate-authority"`
			AuthorityData []byte `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		User struct {
			Certificate     string `json:"client-certificate"`
			CertificateData []byte `json:"client-certificate-data"`
			Key             string `json:"client-key"`
			KeyData         string `json:"client-key-data"`
			Token           string `json:"token"`
			Password        string `json:"password"`
		} `json:"user"`
	} `json:"users"`
}

// kubeconfig notes which credentials stand in a kubeconfig, the certificates, the files
// that it names, and the kubeconfigs beside it.
func (c *collector) kubeconfig(p *process, f *bailey.HostFile, name, where, use string) {
	text, err := readBounded(where, maxDocument)
	if err != nil {
		c.skip(name, err)
		return
	}
	var k kubeconfig
	if err := yaml.Unmarshal(text, &k); err != nil {
		c.skip(name, errNoKubeconfig)
		return
	}
	relative := func(file, use string, role bailey.FileRole) {
		if file == "" {
			return
		}
		if !path.IsAbs(file) {
			file = path.Join(path.Dir(name), file)
		}
		c.look(p, file, use, role)
	}
	for _, cluster := range k.Clusters {
		c.pem(f.Path, cluster.Cluster.AuthorityData, "certificate authority of "+f.Path)
		relative(cluster.Cluster.Authority, "certificate authority of "+f.Path, bailey.RoleCertificate)
	}
	for _, user := range k.Users {
		u := &user.User
		c.pem(f.Path+" (client)", u.CertificateData, "client certificate of "+f.Path)
		relative(u.Certificate, "client certificate of "+f.Path, bailey.RoleCertificate)
		relative(u.Key, "client key of "+f.Path, bailey.RoleKey)
		for _, held := range []struct{ value, name string }{{u.KeyData, "private key"}, {u.Token, "token"}, {u.Password, "password"}} {
			if held.value != "" {
				f.Holds = append(f.Holds, held.name)
			}
		}
	}
	if strings.HasPrefix(use, "beside ") {
		return // its folder is looked through once
	}
	for _, beside := range c.list(p, path.Dir(name)) {
		if ext := filepath.Ext(beside); ext != ".conf" && ext != ".kubeconfig" && ext != ".config" {
			continue
		}
		file := path.Join(path.Dir(name), beside)
		if head, err := readBounded(c.at(p, file), maxDocument); err == nil && strings.Contains(string(head), "kind: Config\n") {
			c.look(p, file, "beside "+f.Path, bailey.RoleKubeconfig)
		}
	}
}
