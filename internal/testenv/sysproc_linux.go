package testenv

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// childAttributes puts a child into a process group of its own, so that a
// Ctrl-C at the terminal reaches only the parent, which then stops its children
// in order; and has the kernel kill it when the parent dies.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// stopped reports whether the process is stopped by a signal.
func stopped(pid int) (bool, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false, fmt.Errorf("reading the state of process %d: %w", pid, err)
	}
	// The state follows the command, which is in parentheses and may hold any
	// character, so look for the last one.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 || i+2 >= len(stat) {
		return false, fmt.Errorf("reading the state of process %d: malformed %q", pid, stat)
	}
	return stat[i+2] == 'T' || stat[i+2] == 't', nil
}
