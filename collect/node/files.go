package node

import (
	"bytes"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/baileyhq/bailey"
)

// roleOf says what the file is for that a flag names.
func roleOf(flag string) bailey.FileRole {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(flag, part) })
	}
	switch {
	case has("kubeconfig", "webhook-config-file"):
		return bailey.RoleKubeconfig
	case has("token-auth-file", "basic-auth-file"):
		return bailey.RoleCredential
	case strings.HasSuffix(flag, "key-file"), strings.HasSuffix(flag, "-key"), strings.HasSuffix(flag, "keyfile"):
		return bailey.RoleKey
	case has("cert-dir"):
		return bailey.RolePKI
	case has("cert", "ca-file", "cafile", "certificate-authority"):
		return bailey.RoleCertificate
	case has("log"):
		return bailey.RoleLog
	case has("endpoint", "socket", "listen"):
		return bailey.RoleSocket
	case has("data-dir", "wal-dir", "root-dir"):
		return bailey.RoleData
	case has("manifest"):
		return bailey.RoleManifest
	}
	return bailey.RoleConfig
}

// at is where a file that a process names can be read: symbolic links lead nowhere
// outside of what the process sees.
func (c *collector) at(p *process, name string) string {
	for _, root := range []string{p.root, c.root} {
		joined, err := securejoin.SecureJoin(root, name)
		if err != nil {
			continue
		}
		if _, err := os.Lstat(joined); err == nil {
			return joined
		}
	}
	return path.Join(c.root, name)
}

// look notes a file, and reads of it what its role allows; nil if it is not there.
func (c *collector) look(p *process, name, use string, role bailey.FileRole) *bailey.HostFile {
	where := c.at(p, name)
	info, err := os.Lstat(where)
	if err != nil {
		c.skip(name, err)
		return nil
	}
	shown := c.shown(p, name, info)
	if f := c.files[shown]; f != nil {
		f.Uses = append(f.Uses, use)
		for _, cert := range c.certs {
			if cert.Path == shown {
				cert.Uses = append(cert.Uses, use)
			}
		}
		if f.Role == bailey.RoleConfig && role != f.Role && f.Type == "file" { // the first who named it said less
			f.Role = role
			c.read(p, f, name, where, use)
		}
		return f
	}
	if len(c.files) >= maxFiles {
		c.skip(name, errTooMany)
		return nil
	}
	f := &bailey.HostFile{Node: c.node, Path: shown, Uses: []string{use}, Role: role, Type: "file", Mode: uint32(info.Mode().Perm())}
	switch {
	case info.IsDir():
		f.Type = "folder"
	case info.Mode()&os.ModeSocket != 0:
		f.Type = "socket"
	case !info.Mode().IsRegular():
		return nil // a device: --log-file=/dev/null
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(stat.Uid), int(stat.Gid)
	}
	c.files[shown] = f
	if f.Type == "file" {
		c.read(p, f, name, where, use)
	}
	return f
}

// shown is the path as people know it: the machine's own, if that is the same file,
// else as the program in its container sees it.
func (c *collector) shown(p *process, name string, info os.FileInfo) string {
	if p.root == c.root {
		return name
	}
	if joined, err := securejoin.SecureJoin(c.root, name); err == nil {
		if own, err := os.Lstat(joined); err == nil && os.SameFile(own, info) {
			return name
		}
	}
	return name + " in " + p.program
}

// read reads of a file what its role allows.
func (c *collector) read(p *process, f *bailey.HostFile, name, where, use string) {
	switch f.Role {
	case bailey.RoleKey, bailey.RoleCertificate, bailey.RolePKI:
		// What an option calls a key may be public, and a certificate's file may hold the key too.
		private, err := holdsKey(where)
		if err != nil {
			c.skip(name, err)
			return
		}
		if private {
			f.Role, f.Holds = bailey.RoleKey, []string{"private key"}
		} else {
			f.Role = bailey.RoleCertificate
		}
		c.certificates(f.Path, where, use)
		c.beside(p, name, use)
	case bailey.RoleKubeconfig:
		c.kubeconfig(p, f, name, where, use)
	case bailey.RoleCredential:
		f.Holds = []string{"token"}
	}
}

// beside notes the folder of a key and what else is in it.
func (c *collector) beside(p *process, name, use string) {
	if strings.HasSuffix(use, "beside it") {
		return
	}
	folder := path.Dir(name)
	if c.files[folder] == nil && folder != "/" && folder != "/etc" && strings.Count(folder, "/") > 1 {
		c.keyFolder(p, folder, use+", or beside it")
	}
}

// holdsKey reads as much of a file as shows whether a private key stands in it: the
// lines that name PEM blocks.
func holdsKey(where string) (bool, error) {
	f, err := openRegular(where)
	if err != nil {
		return false, err
	}
	defer f.Close()
	part, kept := make([]byte, 4<<10), []byte(nil)
	for range maxDocument / len(part) {
		n, err := f.Read(part)
		kept = append(kept, part[:n]...)
		if bytes.Contains(kept, []byte("PRIVATE KEY-----")) {
			clear(part)
			clear(kept)
			return true, nil
		}
		if len(kept) > 64 { // the words may stand across two parts
			kept = append(kept[:0], kept[len(kept)-64:]...)
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}
