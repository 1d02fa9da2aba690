package testenv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// startTimeout bounds the wait for servers to serve.
const startTimeout = 3 * time.Minute

// Server is one server of a cluster, which may be up, paused or down. Its
// methods may be called in any order, before its cluster is closed.
type Server struct {
	command Command
	addr    string
	ready   func(context.Context) error // one attempt

	mu   sync.Mutex
	proc *Process // of the newest start
}

// Name returns what messages call the server, such as "kudu-tserver-0".
func (s *Server) Name() string { return s.command.Name }

// Addr returns the host:port of the server's RPC or client listener.
func (s *Server) Addr() string { return s.addr }

// Log returns the path of the server's log.
func (s *Server) Log() string { return s.command.Log }

// Process returns the process of the newest start.
func (s *Server) Process() *Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Pid returns the process id of the newest start.
func (s *Server) Pid() int { return s.Process().Pid() }

// Kill ends the server by SIGKILL, paused or not, and waits until it is gone.
func (s *Server) Kill() error { return s.Process().Kill() }

// Pause stops the server by SIGSTOP.
func (s *Server) Pause(ctx context.Context) error { return s.Process().Pause(ctx) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.Process().Resume() }

// Stop ends the server by SIGTERM, or after a minute by SIGKILL, and waits until it
// is gone.
func (s *Server) Stop(ctx context.Context) error {
	_, err := s.Process().Terminate(ctx)
	return err
}

// Restart starts the server again on its port and data, killing it first if it
// still runs, and returns when it serves.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	return s.waitReady(ctx)
}

func (s *Server) start() error {
	p, err := StartProcess(s.command)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc = p
	return nil
}

// waitReady waits until the server serves; when it does not, the error shows
// the end of its log.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p := s.Process()
	err := poll(ctx, 20*time.Millisecond, func(ctx context.Context) error {
		if !p.Running() {
			return permanent(p.exitError())
		}
		return s.ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("waiting for %s at %s to serve: %w\n%s", s.Name(), s.addr, err, Tail(s.Log(), tailLines))
	}
	return nil
}

// killAll ends the servers. Their data is about to be removed, so there is
// nothing to gain from an orderly end.
func killAll(servers []*Server) error {
	var errs []error
	for _, s := range servers {
		if p := s.Process(); p != nil {
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(errs...)
}
