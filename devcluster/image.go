package devcluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	pauseImage = "localhost/pause:dev"

	// imageUser is who an image's processes are unless a pod says otherwise: not root,
	// so that a restricted pod need not name a user.
	imageUser = "65532:65532"
)

// Import makes an image of files of this machine and gives it to the node under a
// reference such as localhost/bailey:dev. files maps absolute paths in the image to the
// files; they are executable for everyone. Programs have to be static: there is nothing
// else in the image, but for /tmp. Its processes are user 65532 unless the pod says
// otherwise. A reference that is there already then means the new image. It returns the image's name by digest,
// which the node knows too.
func (n *Node) Import(ctx context.Context, ref string, files map[string]string, entrypoint []string) (named string, err error) {
	layer, err := os.CreateTemp(filepath.Join(n.cluster.Dir, "tmp"), "layer-")
	if err != nil {
		return "", fmt.Errorf("devcluster: import %s: %w", ref, err)
	}
	defer os.Remove(layer.Name())
	defer layer.Close()
	if err := writeLayer(layer, files); err != nil {
		return "", fmt.Errorf("devcluster: import %s: %w", ref, err)
	}
	if named, err = n.load(ctx, ref, layer, entrypoint); err != nil {
		return "", fmt.Errorf("devcluster: import %s into %s: %w", ref, n.Name, err)
	}
	return named, nil
}

// importPause gives the node the image whose one process holds each pod's namespaces.
func (n *Node) importPause(ctx context.Context) error {
	program := filepath.Join(n.cluster.Dir, "tmp", "pause-"+n.Name)
	if err := os.WriteFile(program, pauseProgram(), 0o700); err != nil {
		return err
	}
	defer os.Remove(program)
	_, err := n.Import(ctx, pauseImage, map[string]string{"/pause": program}, []string{"/pause"})
	return err
}

// load sends the image to containerd as the tar of an OCI image layout, under its reference and its name by digest, which it returns.
func (n *Node) load(ctx context.Context, ref string, layer *os.File, entrypoint []string) (named string, err error) {
	sum := sha256.New()
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	size, err := io.Copy(sum, layer)
	if err != nil {
		return "", err
	}
	digest := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	layerDigest := fmt.Sprintf("sha256:%x", sum.Sum(nil))
	const mediaType = "application/vnd.oci.image."
	config, err := json.Marshal(object{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       object{"User": imageUser, "Entrypoint": entrypoint, "WorkingDir": "/", "Env": []string{"PATH=/"}},
		"rootfs":       object{"type": "layers", "diff_ids": []string{layerDigest}},
	})
	if err != nil {
		return "", err
	}
	manifest, err := json.Marshal(object{
		"schemaVersion": 2,
		"mediaType":     mediaType + "manifest.v1+json",
		"config":        object{"mediaType": mediaType + "config.v1+json", "digest": digest(config), "size": len(config)},
		"layers":        []object{{"mediaType": mediaType + "layer.v1.tar", "digest": layerDigest, "size": size}},
	})
	if err != nil {
		return "", err
	}
	repository, _, _ := strings.Cut(ref, ":")
	named = repository + "@" + digest(manifest)
	var names []object
	for _, name := range []string{ref, named} {
		names = append(names, object{"mediaType": mediaType + "manifest.v1+json", "digest": digest(manifest), "size": len(manifest),
			"annotations": object{"io.containerd.image.name": name}})
	}
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": names})
	if err != nil {
		return "", err
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		return "", err
	}

	cmd := n.Command(ctx, "ctr", "--namespace", "k8s.io", "images", "import", "-")
	in, out := io.Pipe()
	cmd.Stdin = in
	go func() {
		w := tar.NewWriter(out)
		entry := func(name string, size int64, from io.Reader) error {
			if err := w.WriteHeader(&tar.Header{Name: name, Size: size, Mode: 0o644}); err != nil {
				return err
			}
			_, err := io.Copy(w, from)
			return err
		}
		blob := func(b []byte) error {
			return entry("blobs/sha256/"+strings.TrimPrefix(digest(b), "sha256:"), int64(len(b)), bytes.NewReader(b))
		}
		layout := []byte(`{"imageLayoutVersion":"1.0.0"}`)
		for _, write := range []func() error{
			func() error { return entry("oci-layout", int64(len(layout)), bytes.NewReader(layout)) },
			func() error { return entry("index.json", int64(len(index)), bytes.NewReader(index)) },
			func() error { return blob(manifest) },
			func() error { return blob(config) },
			func() error { return entry("blobs/sha256/"+strings.TrimPrefix(layerDigest, "sha256:"), size, layer) },
			w.Close,
		} {
			if err := write(); err != nil {
				out.CloseWithError(err)
				return
			}
		}
		out.Close()
	}()
	defer in.Close() // where the command has ended early, so does the writer
	return named, run(cmd)
}

// writeLayer writes the files, their folders and /tmp as a tar, the same for the same
// files.
func writeLayer(w io.Writer, files map[string]string) error {
	tw := tar.NewWriter(w)
	seen := map[string]bool{"/": true, "/tmp": true}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}); err != nil {
		return err
	}
	var folder func(dir string) error
	folder = func(dir string) error {
		if seen[dir] {
			return nil
		}
		seen[dir] = true
		if err := folder(path.Dir(dir)); err != nil {
			return err
		}
		return tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755})
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" {
			return fmt.Errorf("%q is not the absolute path of a file", name)
		}
		if err := folder(path.Dir(name)); err != nil {
			return err
		}
		if err := layerFile(tw, name, files[name]); err != nil {
			return err
		}
	}
	return tw.Close()
}

func layerFile(tw *tar.Writer, name, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(tw, f)
	return err
}

// pauseProgram is a program of one loop around the system call pause, for amd64. Made
// here, it needs neither a compiler nor a registry where a node starts.
func pauseProgram() []byte {
	code := []byte{
		0xb8, 0x22, 0, 0, 0, // mov eax, 34 (pause)
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp to the mov
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: base + headers, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x1000,
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, header) // a buffer takes anything
	_ = binary.Write(&b, binary.LittleEndian, segment)
	b.Write(code)
	return b.Bytes()
}
