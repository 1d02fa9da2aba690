package krpc

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall
// lacks.
const tcpUserTimeout = 0x12

// setSocketOptions makes the kernel give up after 30 s on a host that
// acknowledges nothing. Keep-alive probes do not cover this case: they are not
// sent while data is outstanding, and retransmission alone goes on for a
// quarter of an hour.
func setSocketOptions(_, _ string, c syscall.RawConn) error {
	var err error
	if ctlErr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, 30_000)
	}); ctlErr != nil {
		return ctlErr
	}
	return err
}
