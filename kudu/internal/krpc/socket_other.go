//go:build !linux

package krpc

import "syscall"

// setSocketOptions has nothing to set where the kernel's defaults must do.
func setSocketOptions(_, _ string, _ syscall.RawConn) error { return nil }
