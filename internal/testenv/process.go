package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrExited is wrapped by the errors of those who wait for something from a
// process that has ended.
var ErrExited = errors.New("process exited")

// stopGrace is how long Terminate and Stop wait before they kill.
const stopGrace = time.Minute

// Command describes a process to start.
type Command struct {
	Name string   // what messages call it; default: the program's base name
	Path string   // the program: a path, or a name to look up in PATH
	Args []string // without the program's name
	Env  []string // KEY=value, added to this process's environment
	Dir  string   // working folder; default: this process's

	// Log is the file that the output is appended to. It takes standard error,
	// and standard output too unless Stdout is set.
	Log    string
	Stdin  io.Reader // nil: an empty input
	Stdout io.Writer
}

// Process is a started program. It runs until it ends by itself or one of
// Terminate and Kill ends it; one of Done, Wait, Terminate or Kill must be seen
// through to know that its goroutines have ended.
type Process struct {
	name  string
	log   *output
	start int64 // size of the log when the process started
	proc  *os.Process

	done  chan struct{} // closed when the process is reaped and its log complete
	state *os.ProcessState
	err   error // of waiting for it, other than its exit status
}

// StartProcess starts the program. It dies when this process dies (on Linux).
func StartProcess(c Command) (*Process, error) {
	if c.Name == "" {
		c.Name = filepath.Base(c.Path)
	}
	if c.Log == "" {
		return nil, fmt.Errorf("starting %s: Command.Log is empty", c.Name)
	}
	log, err := openOutput(c.Log)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Stdin = c.Stdin
	cmd.Stdout, cmd.Stderr = log, log
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	cmd.SysProcAttr = childAttributes()
	// A grandchild may hold the output open; don't wait for it for ever.
	cmd.WaitDelay = 30 * time.Second

	size, _ := log.state()
	p := &Process{name: c.Name, log: log, start: size, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}

// run starts the command and waits for its end on one locked thread: the
// kernel sends the parent death signal when the thread that forked ends, not
// when the process does, so that thread must live as long as the child.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	if err := cmd.Start(); err != nil {
		started <- errors.Join(err, p.log.close())
		return
	}
	p.proc = cmd.Process
	started <- nil
	err := cmd.Wait()
	p.state = cmd.ProcessState
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		p.err = err
	}
	p.err = errors.Join(p.err, p.log.close())
}

// Pid returns the process id. It stays the same after the end.
func (p *Process) Pid() int { return p.proc.Pid }

// Log returns the path of the log file.
func (p *Process) Log() string { return p.log.path }

// Done is closed when the process has ended and its log is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended; a paused one runs.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ExitCode returns the exit code, or -1 when the process still runs or was
// ended by a signal.
func (p *Process) ExitCode() int {
	if p.Running() || p.state == nil {
		return -1
	}
	return p.state.ExitCode()
}

// Wait waits for the end and returns the exit code, -1 after a signal. A
// non-zero code is no error.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.ExitCode(), p.err
	case <-ctx.Done():
		return -1, fmt.Errorf("waiting for the end of %s: %w", p.name, context.Cause(ctx))
	}
}

// Signal sends a signal. It is no error if the process has ended.
func (p *Process) Signal(s os.Signal) error {
	if err := p.proc.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to %s: %w", s, p.name, err)
	}
	return nil
}

// Kill ends the process by SIGKILL, paused or not, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.done
	return nil
}

// Pause stops the process by SIGSTOP and returns when it no longer runs on any
// processor.
func (p *Process) Pause(ctx context.Context) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return poll(ctx, time.Millisecond, func(context.Context) error {
		if !p.Running() {
			return permanent(fmt.Errorf("pausing %s: %w", p.name, ErrExited))
		}
		if is, err := stopped(p.Pid()); err != nil {
			return err
		} else if !is {
			return fmt.Errorf("pausing %s: not stopped yet", p.name)
		}
		return nil
	})
}

// Resume lets a paused process go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// Terminate asks the process to end by SIGTERM (a paused one is resumed for
// it), kills it when it takes longer than a minute or ctx ends, and waits until it
// is gone. It returns the exit code, and an error if the process was killed.
func (p *Process) Terminate(ctx context.Context) (int, error) {
	if err := errors.Join(p.Signal(syscall.SIGTERM), p.Signal(syscall.SIGCONT)); err != nil {
		return -1, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if code, err := p.Wait(ctx); err == nil || !p.Running() {
		return code, err
	}
	err := fmt.Errorf("terminating %s: killed, since it did not end on SIGTERM: %w", p.name, context.Cause(ctx))
	return -1, errors.Join(err, p.Kill())
}

// WaitLine waits for a line of this run's log that matches, from its first line
// on, and returns it. If the process ends without one, the error wraps
// ErrExited and shows the end of the log.
func (p *Process) WaitLine(ctx context.Context, match func(line string) bool) (string, error) {
	line, _, err := p.WaitLineFrom(ctx, p.start, match)
	return line, err
}

// LogSize returns the size of the log now, to wait for lines written later.
func (p *Process) LogSize() int64 {
	size, _ := p.log.state()
	return size
}

// WaitLineFrom is WaitLine from an offset in the log file on: one from LogSize,
// or the one behind an earlier match, which is the second result.
func (p *Process) WaitLineFrom(ctx context.Context, offset int64, match func(line string) bool) (string, int64, error) {
	for {
		// The order matters: whoever sees the end here also sees, in the size
		// read after it, all that the process wrote.
		ended := !p.Running()
		size, grown := p.log.state()
		line, next, found, err := p.log.find(offset, size, match)
		if err != nil || found {
			return line, next, err
		}
		offset = next
		if ended {
			return "", offset, fmt.Errorf("waiting for a line of %s: %w\n%s", p.name, p.exitError(), Tail(p.log.path, tailLines))
		}
		select {
		case <-grown:
		case <-p.done:
		case <-ctx.Done():
			return "", offset, fmt.Errorf("waiting for a line of %s: %w\n%s", p.name, context.Cause(ctx), Tail(p.log.path, tailLines))
		}
	}
}

// exitError says how the process ended. It wraps ErrExited.
func (p *Process) exitError() error {
	if p.state == nil {
		return ErrExited
	}
	return fmt.Errorf("%w: %s", ErrExited, p.state)
}
