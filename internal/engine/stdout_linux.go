package engine

import "syscall"

// dupOver makes newfd a copy of oldfd. Linux on arm64 has dup3 only.
func dupOver(oldfd, newfd int) error { return syscall.Dup3(oldfd, newfd, 0) }
