package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// room is a process in namespaces of its own, as Docker would start it. The
// test's program starts itself once more, and that becomes the process.
type room struct {
	Layers  []string // of the root, the topmost first
	Upper   string   // takes what is written to the root; "": the root is read-only
	Work    string   // beside Upper, for the kernel
	Binds   []bind
	Dir     string
	Env     []string
	Args    []string
	User    int  // 0: root, with all capabilities; others have none
	Offline bool // only a loopback of its own
}

// bind mounts a path of this machine.
type bind struct{ From, To string }

// roomVariable tells the started program that it is to become the process.
const roomVariable = "NASNET_TEST_ROOM"

func TestMain(m *testing.M) {
	if text := os.Getenv(roomVariable); text != "" {
		runtime.LockOSThread()
		var r room
		err := json.Unmarshal([]byte(text), &r)
		if err == nil {
			err = r.become()
		}
		fmt.Fprintln(os.Stderr, "room:", err)
		os.Exit(125) // as docker run's own failures
	}
	os.Exit(m.Run())
}

// command is the process, not started yet. It is the first of its PID
// namespace, and dies with the test.
func (r room) command(t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{roomVariable + "=" + string(text)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Pdeathsig: syscall.SIGKILL}
	if r.Offline {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	return cmd
}

// become mounts the root and turns this process into the one that is asked for.
func (r room) become() error {
	root, err := os.MkdirTemp("", "nasnet-room-")
	if err != nil {
		return err
	}
	if err := errors.Join(r.mount(root)...); err != nil {
		return err
	}
	if r.Offline {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Chdir(r.Dir); err != nil {
		return err
	}
	if r.User != 0 {
		if err := dropTo(r.User); err != nil {
			return err
		}
	}
	path, err := lookPath(r.Args[0], r.Env)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, r.Args, r.Env))
}

// mount makes the root in an empty directory. The namespace's end undoes it.
func (r room) mount(root string) []error {
	var errs []error
	mount := func(from, to, kind string, flags uintptr, options string) {
		if err := syscall.Mount(from, to, kind, flags, options); err != nil {
			errs = append(errs, fmt.Errorf("mount %s on %s: %w", from, to, err))
		}
	}
	mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	switch {
	case r.Upper != "":
		mount("overlay", root, "overlay", 0, "lowerdir="+strings.Join(r.Layers, ":")+",upperdir="+r.Upper+",workdir="+r.Work)
	default:
		mount("overlay", root, "overlay", syscall.MS_RDONLY, "lowerdir="+strings.Join(r.Layers, ":"))
	}
	mount("proc", filepath.Join(root, "proc"), "proc", syscall.MS_NOSUID|syscall.MS_NOEXEC|syscall.MS_NODEV, "")
	mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777")
	dev := filepath.Join(root, "dev")
	mount("tmpfs", dev, "tmpfs", syscall.MS_NOSUID, "mode=755")
	for name, number := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		node := filepath.Join(dev, name)
		errs = append(errs, syscall.Mknod(node, syscall.S_IFCHR|0o666, 1<<8|number), os.Chmod(node, 0o666))
	}
	errs = append(errs, os.Mkdir(filepath.Join(dev, "shm"), 0o755))
	mount("tmpfs", filepath.Join(dev, "shm"), "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777,size=64m")
	for _, b := range r.Binds {
		mount(b.From, filepath.Join(root, b.To), "", syscall.MS_BIND, "")
	}
	return errs
}

// dropTo gives up root for good: no group of root's, no capability, none to be gained.
func dropTo(user int) error {
	for c := range unix.CAP_LAST_CAP + 1 {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), syscall.Setgroups(nil), syscall.Setgid(user))
	if err != nil {
		return err
	}
	return syscall.Setuid(user)
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// lookPath finds a program by the PATH of env, not by ours.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, pair := range env {
		dirs, ok := strings.CutPrefix(pair, "PATH=")
		for _, dir := range filepath.SplitList(dirs) {
			if info, err := os.Stat(filepath.Join(dir, name)); ok && err == nil && info.Mode().IsRegular() {
				return filepath.Join(dir, name), nil
			}
		}
	}
	return "", fmt.Errorf("%s is not on PATH", name)
}
