package keyring

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"rbdctl/internal/fault"
)

// FileMode is the mode of a keyring file: its owner writes it, its group reads it.
const FileMode fs.FileMode = 0o640

// File is what WriteFile did.
type File struct {
	Path    string
	Mode    fs.FileMode
	Owner   Owner
	Changed bool        // false: content, mode and owner were as wanted already
	Exposed fs.FileMode // the mode before, when it let others read or write keys; else 0
}

// WriteFile makes path a keyring file with the content of k, mode [FileMode] and
// the given owner, and leaves it alone when it is one already. At no moment,
// killed or not, is there a file at path that is incomplete, or anywhere one
// with a key in it that others may read; the umask does not matter.
//
// It refuses, with kind ErrInvalid, a path that is a link or no regular file,
// and a directory that anyone else could put a file into: it must belong to root,
// to the caller or to owner, and only its owner may write it. The error has kind
// ErrDenied when the file system refuses, ErrNotFound without the directory.
func WriteFile(path string, k Keyring, owner Owner) (File, error) {
	file := File{Path: path, Mode: FileMode, Owner: owner}
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return file, invalidf("keyring file %q: want the path of a file", clip(path))
	}
	root, err := openDirectory(filepath.Clean(dir))
	if err != nil {
		return file, fileError(path, err)
	}
	defer root.Close()
	unlock, err := lockDirectory(root, owner)
	if err != nil {
		return file, fileError(path, err)
	}
	defer unlock()

	content := k.bytes()
	defer clear(content)
	before, err := inspect(root, name, content, owner)
	if err != nil {
		return file, fileError(path, err)
	}
	if before.mode&0o027 != 0 {
		file.Exposed = before.mode
	}
	if before.asWanted {
		return file, nil
	}
	w := fileWriter{root: root, name: name, owner: owner}
	if err := w.replace(content); err != nil {
		return file, fileError(path, err)
	}
	file.Changed = true
	return file, nil
}

// openDirectory is os.OpenRoot with an error that says when dir is a file.
func openDirectory(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if info, statErr := os.Stat(dir); err != nil && statErr == nil && !info.IsDir() {
		return nil, invalidf("%s is not a directory", dir)
	}
	return root, err
}

// lockDirectory checks that nobody else can write to root, and takes the lock
// under which files there are written, so that two at once don't take each
// other's unfinished files for leftovers.
func lockDirectory(root *os.Root, owner Owner) (unlock func(), err error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	info, err := d.Stat()
	if err == nil {
		err = checkDirectory(info, owner)
	}
	if err == nil {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return func() { _ = d.Close() }, nil
}

func checkDirectory(info fs.FileInfo, owner Owner) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return invalidf("the directory has mode %04o: others may write to it; chmod go-w it, or choose another", mode)
	}
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	if uid != 0 && uid != os.Geteuid() && uid != owner.UID {
		return invalidf("the directory belongs to uid %d, who could replace the file; choose another", uid)
	}
	return nil
}

// found is what stands at the path before.
type found struct {
	mode     fs.FileMode // 0 when there is nothing
	asWanted bool
}

// inspect looks at what name is now. A link, a directory or a device is refused.
func inspect(root *os.Root, name string, content []byte, owner Owner) (found, error) {
	info, err := root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	if !info.Mode().IsRegular() {
		return found{}, invalidf("it is a %s, not a regular file; remove it first", kindOfFile(info.Mode()))
	}
	was := found{mode: info.Mode().Perm()}
	st := info.Sys().(*syscall.Stat_t)
	if was.mode != FileMode || int(st.Uid) != owner.UID || int(st.Gid) != owner.GID || info.Size() != int64(len(content)) {
		return was, nil
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return found{}, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(opened, info) {
		return found{}, errors.Join(err, invalidf("it was replaced meanwhile; try again"))
	}
	have, err := io.ReadAll(io.LimitReader(f, maxFile))
	defer clear(have)
	was.asWanted = bytes.Equal(have, content)
	return was, err
}

func kindOfFile(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m.IsDir():
		return "directory"
	}
	return "special file"
}

// fileWriter replaces one file in a directory whose lock it holds.
type fileWriter struct {
	root  *os.Root
	name  string
	owner Owner
	at    func(step string) error // called before each step; nil outside tests
}

// step lets a test fail, or watch, before what comes next.
func (w *fileWriter) step(name string) error {
	if w.at == nil {
		return nil
	}
	return w.at(name)
}

// tempPrefix begins the name of the file that becomes w.name.
func (w *fileWriter) tempPrefix() string { return "." + w.name + ".rbdctl-" }

// replace writes content to a new file and renames it to w.name. On an error
// nothing of it is left; what a killed writer left goes first.
func (w *fileWriter) replace(content []byte) (err error) {
	if err := w.sweep(); err != nil {
		return err
	}
	temp := w.tempPrefix() + rand.Text()
	if err := w.step("create"); err != nil {
		return err
	}
	// Nobody but us may open it until it has its owner; O_EXCL follows no link.
	f, err := w.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(w.root.Remove(temp)))
		}
	}()
	if err := errors.Join(w.fill(f, content), f.Close()); err != nil {
		return err
	}
	if err := w.step("rename"); err != nil {
		return err
	}
	if err := w.root.Rename(temp, w.name); err != nil {
		return err
	}
	if err := w.step("sync directory"); err != nil {
		return err
	}
	return w.syncDirectory()
}

// fill gives f its owner and mode before it gives it data. The owner first:
// chown may take bits of the mode away.
func (w *fileWriter) fill(f *os.File, content []byte) error {
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"chown", func() error { return f.Chown(w.owner.UID, w.owner.GID) }},
		{"chmod", func() error { return f.Chmod(FileMode) }},
		{"write", func() error { _, err := f.Write(content); return err }},
		{"sync", f.Sync},
	} {
		if err := w.step(s.name); err != nil {
			return err
		}
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what writers that were killed have left.
func (w *fileWriter) sweep() error {
	entries, err := fs.ReadDir(w.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), w.tempPrefix()) && e.Type().IsRegular() {
			if err := ignoreMissing(w.root.Remove(e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *fileWriter) syncDirectory() error {
	d, err := w.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// fileError gives an error of the file system its kind, and the path.
func fileError(path string, err error) error {
	var kind error
	for _, k := range []struct{ is, kind error }{
		{fault.ErrInvalid, fault.ErrInvalid},
		{fs.ErrPermission, fault.ErrDenied},
		{syscall.EROFS, fault.ErrDenied},
		{fs.ErrNotExist, fault.ErrNotFound},
	} {
		if errors.Is(err, k.is) {
			kind = k.kind
			break
		}
	}
	return &fault.Error{Op: "write keyring file", Subject: path, Kind: kind, Err: err}
}
