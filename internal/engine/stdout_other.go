//go:build unix && !linux

package engine

import "syscall"

// dupOver makes newfd a copy of oldfd.
func dupOver(oldfd, newfd int) error { return syscall.Dup2(oldfd, newfd) }
