//go:build unix && !linux

package testenv

import "syscall"

// childAttributes puts a child into a process group of its own. Only Linux can
// tie its life to the parent's.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// stopped takes the signal's delivery for granted: there is no portable way to
// ask for a process's state.
func stopped(int) (bool, error) { return true, nil }
