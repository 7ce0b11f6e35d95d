package engine

import (
	"syscall"
	"unsafe"
)

// dieByAbort gives SIGABRT its default action back. Go's runtime would catch
// the abort(3) of a failed CHECK, print every goroutine over TensorFlow's one
// line that says why, and exit with status 2. No core is written: that of an
// engine has gigabytes, and would land in the run directory.
func dieByAbort() error {
	var byDefault [64]byte // struct sigaction of the kernel, all zero: SIG_DFL
	const sigsetBytes = 8
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGABRT), uintptr(unsafe.Pointer(&byDefault)), 0, sigsetBytes, 0, 0)
	if errno != 0 {
		return errno
	}
	return syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
