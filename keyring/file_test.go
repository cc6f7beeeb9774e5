package keyring_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"rbdctl/keyring"
)

// steps of replacing a file, in order.
var steps = []string{"create", "chown", "chmod", "write", "sync", "rename", "sync directory"}

func me() keyring.Owner { return keyring.Owner{UID: os.Geteuid(), GID: os.Getegid()} }

// someone is an owner other than the caller, if the caller is root: nobody else
// can give files away.
func someone(t *testing.T) keyring.Owner {
	t.Helper()
	if os.Geteuid() != 0 {
		return me()
	}
	return keyring.Owner{UID: 12345, GID: 23456}
}

func cinder(t testing.TB, key string) keyring.Keyring {
	return keyring.Keyring{{Entity: entity(t, "client.cinder"), Key: parseKey(t, key)}}
}

func checkFile(t *testing.T, path, content string, owner keyring.Owner) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	st := info.Sys().(*syscall.Stat_t)
	if info.Mode() != 0o640 || int(st.Uid) != owner.UID || int(st.Gid) != owner.GID {
		t.Errorf("%s: mode %v, owner %d:%d; want 0640 of %v", path, info.Mode(), st.Uid, st.Gid, owner)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("%s: %q, %v; want %q", path, got, err, content)
	}
}

// names returns the files in dir.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// umask is the process's: its tests are not parallel.
func withUmask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

func secureDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWriteFile(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		dir := secureDir(t)
		path := filepath.Join(dir, "ceph.client.cinder.keyring")
		withUmask(t, mask)
		k, owner := cinder(t, aesKey), someone(t)

		f, err := keyring.WriteFile(path, k, owner)
		if err != nil || !f.Changed || f.Exposed != 0 || f.Path != path || f.Mode != 0o640 || f.Owner != owner {
			t.Fatalf("umask %03o: WriteFile = %+v, %v", mask, f, err)
		}
		checkFile(t, path, written(t, k), owner)
		before, _ := os.Stat(path)

		f, err = keyring.WriteFile(path, k, owner)
		after, _ := os.Stat(path)
		if err != nil || f.Changed || !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) {
			t.Errorf("umask %03o: a second WriteFile = %+v, %v; want the same file", mask, f, err)
		}

		k = cinder(t, aesKey2)
		if f, err = keyring.WriteFile(path, k, owner); err != nil || !f.Changed {
			t.Errorf("umask %03o: WriteFile of another key = %+v, %v", mask, f, err)
		}
		checkFile(t, path, written(t, k), owner)
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("umask %03o: %q in the directory", mask, got)
		}
	}
}

func TestWriteFileMendsWhatIsThere(t *testing.T) {
	k := cinder(t, aesKey)
	for _, tt := range []struct {
		name    string
		content string
		mode    fs.FileMode
		owner   keyring.Owner
		exposed fs.FileMode
	}{
		{name: "open to all", content: written(t, k), mode: 0o644, owner: someone(t), exposed: 0o644},
		{name: "group may write", content: written(t, k), mode: 0o660, owner: someone(t), exposed: 0o660},
		{name: "too narrow", content: written(t, k), mode: 0o600, owner: someone(t)},
		{name: "other owner", content: written(t, k), mode: 0o640, owner: me()},
		{name: "other text of the same length", content: written(t, cinder(t, aesKey2)), mode: 0o640, owner: someone(t)},
		{name: "empty, as a failed export leaves it", content: "", mode: 0o640, owner: someone(t)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(secureDir(t), "k")
			if err := errors.Join(os.WriteFile(path, []byte(tt.content), 0o600), os.Chown(path, tt.owner.UID, tt.owner.GID), os.Chmod(path, tt.mode)); err != nil {
				t.Fatal(err)
			}
			f, err := keyring.WriteFile(path, k, someone(t))
			if tt.name == "other owner" && me() == someone(t) {
				f.Changed = !f.Changed // nobody's other than the caller's: it is as wanted
			}
			if err != nil || !f.Changed || f.Exposed != tt.exposed {
				t.Errorf("WriteFile = %+v, %v; want changed, exposed %04o", f, err, tt.exposed)
			}
			checkFile(t, path, written(t, k), someone(t))
		})
	}
}

func TestWriteFileRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(dir string) (path string, err error)
		kind    error
	}{
		{"a link", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), os.Symlink(filepath.Join(dir, "victim"), filepath.Join(dir, "k"))
		}, keyring.ErrInvalid},
		{"a link to nowhere", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), os.Symlink("/nonexistent/x", filepath.Join(dir, "k"))
		}, keyring.ErrInvalid},
		{"a directory", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), os.Mkdir(filepath.Join(dir, "k"), 0o755)
		}, keyring.ErrInvalid},
		{"a pipe", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), syscall.Mkfifo(filepath.Join(dir, "k"), 0o644)
		}, keyring.ErrInvalid},
		{"a device", func(string) (string, error) { return "/dev/null", nil }, keyring.ErrInvalid},
		{"no name", func(dir string) (string, error) { return dir + "/", nil }, keyring.ErrInvalid},
		{"no directory", func(dir string) (string, error) { return filepath.Join(dir, "no", "k"), nil }, keyring.ErrNotFound},
		{"a file for a directory", func(dir string) (string, error) { return filepath.Join(dir, "victim", "k"), nil }, keyring.ErrInvalid},
		{"group may write to the directory", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), os.Chmod(dir, 0o775)
		}, keyring.ErrInvalid},
		{"all may write to the directory", func(dir string) (string, error) {
			return filepath.Join(dir, "k"), os.Chmod(dir, 0o777|os.ModeSticky)
		}, keyring.ErrInvalid},
		{"the kernel's own files", func(string) (string, error) { return "/sys/kernel/k", nil }, keyring.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := secureDir(t)
			victim := filepath.Join(dir, "victim")
			if err := os.WriteFile(victim, []byte("unharmed"), 0o600); err != nil {
				t.Fatal(err)
			}
			path, err := tt.prepare(dir)
			if err != nil {
				t.Fatal(err)
			}
			before := names(t, dir)
			f, err := keyring.WriteFile(path, cinder(t, aesKey), me())
			if !errors.Is(err, tt.kind) || f.Changed {
				t.Errorf("WriteFile = %+v, %v; want %v", f, err, tt.kind)
			}
			if after := names(t, dir); len(after) != len(before) {
				t.Errorf("left behind: %q", after)
			}
			if got, _ := os.ReadFile(victim); string(got) != "unharmed" {
				t.Errorf("the link was followed: %q", got)
			}
		})
	}
}

// dirInfo is a directory of somebody's: to make a real one takes root.
type dirInfo struct {
	fs.FileInfo
	uid uint32
}

func (d dirInfo) Mode() fs.FileMode { return fs.ModeDir | 0o755 }
func (d dirInfo) Sys() any          { return &syscall.Stat_t{Uid: d.uid} }

func TestWriteFileRefusesForeignDirectory(t *testing.T) {
	for _, tt := range []struct {
		uid   int
		owner keyring.Owner
		want  error
	}{
		{uid: 0, owner: me()},
		{uid: os.Geteuid(), owner: keyring.Owner{UID: 12345}},
		{uid: 12345, owner: keyring.Owner{UID: 12345}},
		{uid: 12345, owner: me(), want: keyring.ErrInvalid},
	} {
		if err := keyring.CheckDirectory(dirInfo{uid: uint32(tt.uid)}, tt.owner); !errors.Is(err, tt.want) {
			t.Errorf("directory of %d, file of %d: %v, want %v", tt.uid, tt.owner.UID, err, tt.want)
		}
	}
}

// The new file never has a byte in it that more people may read than in the end.
func TestReplaceIsNeverOpen(t *testing.T) {
	withUmask(t, 0)
	dir, owner := secureDir(t), someone(t)
	var seen []string
	err := keyring.ReplaceAt(dir, "k", cinder(t, aesKey), owner, func(step string) error {
		seen = append(seen, step)
		for _, name := range names(t, dir) {
			info, err := os.Lstat(filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			st := info.Sys().(*syscall.Stat_t)
			if info.Mode().Perm()&^0o640 != 0 {
				t.Errorf("before %s: mode %v", step, info.Mode())
			}
			if info.Size() > 0 && (info.Mode().Perm() != 0o640 || int(st.Uid) != owner.UID || int(st.Gid) != owner.GID) {
				t.Errorf("before %s: data with mode %v, owner %d:%d", step, info.Mode(), st.Uid, st.Gid)
			}
		}
		return nil
	})
	if err != nil || len(seen) != len(steps) {
		t.Errorf("steps %q, %v; want %q", seen, err, steps)
	}
}

func TestReplaceFailsAtEachStep(t *testing.T) {
	for _, failing := range steps {
		t.Run(failing, func(t *testing.T) {
			dir := secureDir(t)
			path := filepath.Join(dir, "k")
			old, wanted := cinder(t, aesKey), cinder(t, aesKey2)
			if _, err := keyring.WriteFile(path, old, me()); err != nil {
				t.Fatal(err)
			}
			err := keyring.ReplaceAt(dir, "k", wanted, me(), func(step string) error {
				if step == failing {
					return syscall.ENOSPC
				}
				return nil
			})
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Replace = %v, want ENOSPC", err)
			}
			want := old
			if failing == "sync directory" { // the rename is done, only its safety is not known
				want = wanted
			}
			checkFile(t, path, written(t, want), me())
			if got := names(t, dir); len(got) != 1 {
				t.Errorf("%q in the directory", got)
			}
		})
	}
}

// crashEnv makes the test binary a writer that kills itself; see TestMain.
const crashEnv = "RBDCTL_KEYRING_TEST_CRASH"

// crash replaces dir/k and is killed before the step at.
func crash(dir, at string) int {
	key, err := keyring.ParseKey([]byte(aesKey2))
	if err != nil {
		return 1
	}
	e, err := keyring.ParseEntity("client.cinder")
	if err != nil {
		return 1
	}
	_ = keyring.ReplaceAt(dir, "k", keyring.Keyring{{Entity: e, Key: key}}, me(), func(step string) error {
		if step == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	})
	return 1
}

func TestReplaceKilledAtEachStep(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			dir := secureDir(t)
			path := filepath.Join(dir, "k")
			old, wanted := cinder(t, aesKey), cinder(t, aesKey2)
			if _, err := keyring.WriteFile(path, old, me()); err != nil {
				t.Fatal(err)
			}
			p, err := os.StartProcess(self, []string{self}, &os.ProcAttr{Env: append(os.Environ(), crashEnv+"="+dir+"|"+at)})
			if err != nil {
				t.Fatal(err)
			}
			state, err := p.Wait()
			if ws, ok := state.Sys().(syscall.WaitStatus); err != nil || !ok || ws.Signal() != syscall.SIGKILL {
				t.Fatalf("the writer was not killed: %v, %v", state, err)
			}
			want := old
			if at == "sync directory" {
				want = wanted
			}
			checkFile(t, path, written(t, want), me())

			// The next one finishes, and nothing of the killed one is left.
			if _, err := keyring.WriteFile(path, wanted, me()); err != nil {
				t.Fatal(err)
			}
			checkFile(t, path, written(t, wanted), me())
			if at != "sync directory" && len(names(t, dir)) != 1 {
				t.Errorf("%q in the directory", names(t, dir))
			}
		})
	}
}

func TestWriteFileByManyAtOnce(t *testing.T) {
	dir := secureDir(t)
	path := filepath.Join(dir, "k")
	both := []keyring.Keyring{cinder(t, aesKey), cinder(t, aesKey2)}
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 20 {
				if _, err := keyring.WriteFile(path, both[i%2], me()); err != nil {
					t.Errorf("WriteFile = %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	reads := 0
	for tick := time.Tick(time.Millisecond); ; {
		select {
		case <-done:
			if got := names(t, dir); len(got) != 1 || reads == 0 {
				t.Errorf("%q in the directory after %d reads", got, reads)
			}
			return
		case <-tick:
			if got, err := os.ReadFile(path); err == nil {
				reads++
				if string(got) != written(t, both[0]) && string(got) != written(t, both[1]) {
					t.Errorf("a reader saw %d bytes that are neither file", len(got))
				}
			}
		}
	}
}

func TestLookupOwner(t *testing.T) {
	for _, tt := range []struct {
		user, group string
		want        keyring.Owner
		message     string
	}{
		{"root", "root", keyring.Owner{}, ""},
		{"64055", "7", keyring.Owner{UID: 64055, GID: 7}, ""},
		{"no-such-user", "root", keyring.Owner{}, `this system has no user "no-such-user"`},
		{"root", "no-such-group", keyring.Owner{}, `this system has no group "no-such-group"`},
		{"", "root", keyring.Owner{}, `this system has no user ""`},
		{"-1", "root", keyring.Owner{}, `this system has no user "-1"`},
	} {
		got, err := keyring.LookupOwner(tt.user, tt.group)
		if tt.message == "" && (err != nil || got != tt.want) || tt.message != "" && (!errors.Is(err, keyring.ErrNotFound) || err.Error() != tt.message) {
			t.Errorf("LookupOwner(%q, %q) = %v, %v; want %v %s", tt.user, tt.group, got, err, tt.want, tt.message)
		}
	}
}
