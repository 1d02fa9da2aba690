package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Ports come from below the range that Linux by default hands out to outgoing
// connections (32768 to 60999): while a server is down, none of those can take
// its port, nor can a client that dials the port be connected to itself.
const (
	firstPort = 17000
	lastPort  = 31999
)

// ports reserves ports across processes until it is closed.
type ports struct{ locks []*fileLock }

// take returns a port of 127.0.0.1 that nobody listens on or has reserved.
func (p *ports) take() (int, error) {
	dir := filepath.Join(os.TempDir(), perUser("kudu2kafka-ports"))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, fmt.Errorf("making the folder of port reservations: %w", err)
	}
	const count = lastPort - firstPort + 1
	start := rand.IntN(count)
	var last error
	for i := range count {
		port := firstPort + (start+i)%count
		l, err := tryLock(filepath.Join(dir, strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = errors.Join(err, l.unlock())
			continue
		}
		if err := listener.Close(); err != nil {
			return 0, errors.Join(fmt.Errorf("probing port %d: %w", port, err), l.unlock())
		}
		p.locks = append(p.locks, l)
		return port, nil
	}
	return 0, fmt.Errorf("finding a free port between %d and %d: %w", firstPort, lastPort, last)
}

// takeAddr is take, as host:port.
func (p *ports) takeAddr() (string, error) {
	port, err := p.take()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// close gives the ports back. The lock files stay: removing one could hand two
// processes the same port under two files of one name.
func (p *ports) close() error {
	var errs []error
	for _, l := range p.locks {
		errs = append(errs, l.unlock())
	}
	p.locks = nil
	return errors.Join(errs...)
}
