package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sys/unix"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// window is a terminal that a process has: a pseudo-terminal of the kernel, and
// what would be seen on it.
type window struct {
	t       *testing.T
	keys    *os.File // of the terminal's owner: what is typed
	process *os.File // the process's side

	mu     sync.Mutex
	raw    bytes.Buffer
	lines  []string // what is to be seen; the cursor is in the last one
	column int
	begun  string   // the beginning of a sequence that a read has cut
	strays []string // what a terminal of the simplest kind wouldn't know
	read   chan struct{}
}

func newWindow(t *testing.T, columns uint16) *window {
	t.Helper()
	owner, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(owner.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, keys: owner, process: process, lines: []string{""}, read: make(chan struct{})}
	w.resize(columns)
	go func() {
		defer close(w.read)
		data := make([]byte, 4096)
		for {
			n, err := owner.Read(data)
			w.show(data[:n])
			if err != nil {
				return // the last process that had it has ended
			}
		}
	}()
	t.Cleanup(func() {
		_ = process.Close()
		<-w.read
		_ = owner.Close()
		if t.Failed() {
			t.Logf("what was written to the terminal: %q", w.raw.String())
		}
	})
	return w
}

func (w *window) resize(columns uint16) {
	w.t.Helper()
	if err := unix.IoctlSetWinsize(int(w.keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		w.t.Fatal(err)
	}
}

// settings are those of the terminal's line.
func (w *window) settings() unix.Termios {
	w.t.Helper()
	s, err := unix.IoctlGetTermios(int(w.process.Fd()), unix.TCGETS)
	if err != nil {
		w.t.Fatal(err)
	}
	return *s
}

// show does what a terminal does with what is written to it. A read may end within
// a sequence, though each is written at once.
func (w *window) show(data []byte) {
	const erase = "\x1b[K"
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw.Write(data)
	text := w.begun + string(data)
	w.begun = ""
	for text != "" {
		last := len(w.lines) - 1
		switch {
		case len(text) < len(erase) && strings.HasPrefix(erase, text):
			w.begun = text
			return
		case strings.HasPrefix(text, erase):
			w.lines[last] = w.lines[last][:min(w.column, len(w.lines[last]))]
			text = text[len(erase):]
			continue
		case text[0] == '\r':
			w.column = 0
		case text[0] == '\n':
			w.lines, w.column = append(w.lines, ""), 0
		case text[0] < ' ' || text[0] == 0x7f:
			w.strays = append(w.strays, fmt.Sprintf("%q", text[:min(len(text), 8)]))
		default:
			line := w.lines[last] + strings.Repeat(" ", max(0, w.column-len(w.lines[last])))
			w.lines[last] = line[:w.column] + text[:1] + line[min(w.column+1, len(line)):]
			w.column++
		}
		text = text[1:]
	}
}

// last is the line that the cursor is in.
func (w *window) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines[len(w.lines)-1]
}

// catchingUp is a worker, of files, with much to read; hold stops Kudu from sending
// more after some hundred rows.
type catchingUp struct {
	files  []string
	resume func()
}

const manyRows = 8000 // in 64 answers: a fake server sends 128 rows at least

func newCatchingUp(t *testing.T) *catchingUp {
	t.Helper()
	kafka := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(kafka.Close)
	cluster, err := kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	table, err := cluster.CreateTable(kudufake.TableSpec{
		Name: "orders", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := make([]kudufake.Row, manyRows)
	for i := range rows {
		rows[i] = kudufake.Row{"id": int64(i), "text": "x"}
	}
	if _, err := table.Insert(rows...); err != nil {
		t.Fatal(err)
	}
	held := make(chan struct{})
	c := &catchingUp{resume: sync.OnceFunc(func() { close(held) })}
	t.Cleanup(c.resume)
	var scans atomic.Int32
	cluster.Control("Scan", func(*kudufake.Call) kudufake.Decision {
		if scans.Add(1) > 40 {
			return kudufake.Decision{Wait: held}
		}
		return kudufake.Decision{Delay: 100 * time.Millisecond}
	})
	folder := t.TempDir()
	for name, text := range map[string]string{
		"worker.yaml": fmt.Sprintf("bootstrap.servers: %s\ngroup.id: g\nlisteners: http://127.0.0.1:0\noffsets.storage.replication.factor: 1\nconfig.storage.replication.factor: 1\nstatus.storage.replication.factor: 1\n", strings.Join(kafka.ListenAddrs(), ",")),
		"orders.yaml": fmt.Sprintf("name: orders\nkudu.masters: %s\nkudu.table: orders\ntopic: orders\ntasks.max: 2\ntransaction.boundary.interval.ms: 50\nkudu.scan.batch.bytes: 1024\ntopic.creation.default.replication.factor: 1\n", strings.Join(cluster.Masters(), ",")),
	} {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.files = append(c.files, file)
	}
	if strings.HasSuffix(c.files[0], "orders.yaml") {
		c.files[0], c.files[1] = c.files[1], c.files[0]
	}
	return c
}

// command is the program, to be started.
func (c *catchingUp) command(t *testing.T) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"run"}, c.files...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm")
	return cmd
}

var (
	wholeBar = regexp.MustCompile(`^\[#+\.+\] +[1-9]\d*%  (\d+) rows, \d+ rows/s, \d of 4 tablets caught up, about \S+ left$`)
	logLine  = regexp.MustCompile(`^20\d\d-\S+ \[[A-Z]+\] +kudu2kafka`)
)

func TestBarOnATerminalShowsTheFirstCatchUpAndLeavesNothingBehind(t *testing.T) {
	for name, end := range map[string]func(*window, *exec.Cmd){
		"Ctrl-C":    func(w *window, _ *exec.Cmd) { _, _ = w.keys.WriteString("\x03") },
		"SIGTERM":   func(_ *window, cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) },
		"caught up": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCatchingUp(t)
			w := newWindow(t, 120)
			settings := w.settings()
			cmd := c.command(t)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = w.process, w.process, w.process
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			testenv.Await(t, time.Minute, "a bar with share, rows, rate and the time left", func() bool { return wholeBar.MatchString(w.last()) })
			t.Logf("the bar: %s", w.last())
			w.resize(40)
			testenv.Await(t, time.Minute, "a bar that fits into a smaller window", func() bool { return len(w.last()) == 39 })
			w.resize(120)
			testenv.Await(t, time.Minute, "the whole bar in a wide window", func() bool {
				return strings.HasSuffix(w.last(), " left") || strings.HasSuffix(w.last(), "tablets caught up")
			})
			if end == nil {
				c.resume()
				testenv.Await(t, time.Minute, "no bar once everything is published", func() bool { return w.last() == "" })
				_ = cmd.Process.Signal(syscall.SIGTERM)
			} else {
				end(w, cmd)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
			testenv.Await(t, time.Minute, "the last word", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(w.lines) > 1 && strings.HasSuffix(w.lines[len(w.lines)-2], " stopped")
			})
			if w.last() != "" || w.column != 0 {
				t.Errorf("the cursor is behind %q", w.last())
			}
			for _, line := range w.lines[:len(w.lines)-1] {
				if !logLine.MatchString(line) {
					t.Errorf("this was left behind: %q", line)
				}
			}
			if len(w.strays) > 0 || w.begun != "" {
				t.Errorf("the terminal was sent %v, and %q in the end", w.strays, w.begun)
			}
			if w.settings() != settings {
				t.Errorf("the terminal's settings were %+v and are %+v", settings, w.settings())
			}
		})
	}
}

func TestWithoutATerminalThereIsNoBar(t *testing.T) {
	c := newCatchingUp(t)
	c.resume()
	cmd := c.command(t)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	testenv.Await(t, time.Minute, "both tasks", func() bool { return strings.Count(read(), "task runs") == 2 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if text := read(); strings.ContainsAny(text, "\x1b\r") || out.Len() > 0 || !strings.HasSuffix(text, " stopped\n") {
		t.Errorf("it wrote %q and %q", text, out.String())
	}
}
