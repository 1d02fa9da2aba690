package testenv

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/kudu2kafka/kudu2kafka/test/kudutool"
)

// KuduTool reads and writes Kudu through the official Java client: the oracle.
// Calls may be concurrent; each takes a Java process of its own, which then
// waits for the next call, so only the first calls pay for its start.
type KuduTool struct {
	masters string
	command Command
	data    *dataDir

	mu     sync.Mutex
	closed bool
	idle   []*toolProcess
	all    map[*toolProcess]struct{} // that may still run
}

// toolProcess is a Java process that serves one call at a time.
type toolProcess struct {
	*Process
	in  *os.File
	out *os.File
	buf *bufio.Reader
}

// StartKuduTool compiles the program if need be. Close must be called.
func StartKuduTool(ctx context.Context, masters []string) (*KuduTool, error) {
	return startKuduTool(ctx, masters, nil, nil)
}

// StartKuduToolAs is StartKuduTool for a cluster with Kerberos, by the tickets in
// the file of a cache.
func StartKuduToolAs(ctx context.Context, masters []string, kdc *KDC, cache string) (*KuduTool, error) {
	// The client asks for tickets by names that it looks up; of an address that has
	// none it takes the address, as everybody else here.
	hosts := kdc.file("hosts")
	if err := os.WriteFile(hosts, nil, 0o600); err != nil {
		return nil, err
	}
	return startKuduTool(ctx, masters, []string{"-Djava.security.krb5.conf=" + kdc.ClientConf(), "-Djdk.net.hosts.file=" + hosts}, []string{"KRB5CCNAME=" + cache})
}

func startKuduTool(ctx context.Context, masters, flags, env []string) (*KuduTool, error) {
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	lib, err := fetchKuduClient(ctx)
	if err != nil {
		return nil, err
	}
	classes, err := compileTool(ctx, lib)
	if err != nil {
		return nil, err
	}
	data, err := newDataDir(ctx)
	if err != nil {
		return nil, err
	}
	t := &KuduTool{
		masters: strings.Join(masters, ","),
		data:    data,
		all:     map[*toolProcess]struct{}{},
		command: Command{
			Name: "kudutool",
			Path: java,
			Env:  env,
			Args: append(flags[:len(flags):len(flags)],
				// Little memory and few threads, beside the servers.
				"-XX:+UseSerialGC", "-Xmx1g", "-Xshare:auto",
				"-Duser.timezone=UTC",
				"-cp", classes+string(filepath.ListSeparator)+filepath.Join(lib, "*"),
				"KuduTool", "serve",
			),
			Log: filepath.Join(data.path, "kudutool.log"),
		},
	}
	// The first process starts up while the caller goes on.
	p, err := t.take()
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	t.giveBack(p)
	return t, nil
}

// compileTool returns the folder of the program's classes, one per version of
// its sources and of the client.
func compileTool(ctx context.Context, lib string) (string, error) {
	names, err := fs.Glob(kudutool.Sources, "*.java")
	if err != nil {
		return "", err
	}
	sources := map[string][]byte{}
	hash := sha256.New()
	fmt.Fprintln(hash, KuduVersion)
	for _, name := range names { // sorted
		source, err := kudutool.Sources.ReadFile(name)
		if err != nil {
			return "", err
		}
		sources[name] = source
		fmt.Fprintln(hash, name, len(source))
		hash.Write(source)
	}
	return install(ctx, fmt.Sprintf("kudutool-%x", hash.Sum(nil)[:8]), func(ctx context.Context, dir string) error {
		javac, err := findJavac()
		if err != nil {
			return err
		}
		args := []string{"--release", strconv.Itoa(minJava), "-encoding", "UTF-8", "-cp", filepath.Join(lib, "*"), "-d", dir}
		for _, name := range names {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, sources[name], 0o644); err != nil {
				return err
			}
			args = append(args, path)
		}
		return runLocked(exec.CommandContext(ctx, javac, args...))
	})
}

// Close ends the processes; calls under way fail. It may be called more than
// once.
func (t *KuduTool) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	var errs []error
	for p := range t.all {
		errs = append(errs, p.Kill())
	}
	for _, p := range t.idle {
		errs = append(errs, p.in.Close(), p.out.Close())
	}
	t.idle = nil
	clear(t.all)
	return errors.Join(append(errs, t.data.remove())...)
}

// take returns an idle process, or a new one.
func (t *KuduTool) take() (*toolProcess, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.New("the tool is closed")
	}
	if n := len(t.idle); n > 0 {
		p := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return p, nil
	}
	p, err := startTool(t.command)
	if err != nil {
		return nil, err
	}
	t.all[p] = struct{}{}
	return p, nil
}

// giveBack makes the process idle.
func (t *KuduTool) giveBack(p *toolProcess) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.idle = append(t.idle, p)
		return
	}
	p.in.Close()
	p.out.Close()
}

// discard ends a process that is in the middle of a call.
func (t *KuduTool) discard(p *toolProcess) error {
	t.mu.Lock()
	delete(t.all, p)
	t.mu.Unlock()
	return errors.Join(p.Kill(), p.in.Close(), p.out.Close())
}

// startTool starts a process whose input and output are pipes. They are files
// of the operating system, so no goroutine copies.
func startTool(c Command) (*toolProcess, error) {
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", c.Name, err), childIn.Close(), in.Close())
	}
	c.Stdin, c.Stdout = childIn, childOut
	p, err := StartProcess(c)
	// The child has its own; ours would hide its end.
	err = errors.Join(err, childIn.Close(), childOut.Close())
	if err != nil {
		return nil, errors.Join(err, in.Close(), out.Close())
	}
	return &toolProcess{Process: p, in: in, out: out, buf: bufio.NewReaderSize(out, 1<<18)}, nil
}

// doneLine ends the answer to a call. No other line begins so.
const doneLine = `{"done":`

// call runs a command and gives each line of its answer to fn, which must not
// keep it. The process is killed when ctx ends or fn fails.
func (t *KuduTool) call(ctx context.Context, args []string, input []any, fn func(line []byte) error) error {
	err := t.try(ctx, args, input, fn)
	if err != nil {
		return fmt.Errorf("running kudutool %s: %w", args[0], err)
	}
	return nil
}

func (t *KuduTool) try(ctx context.Context, args []string, input []any, fn func(line []byte) error) error {
	request, err := json.Marshal(struct {
		Args  []string `json:"args"`
		Input []any    `json:"input"`
	}{append([]string{args[0], t.masters}, args[1:]...), input})
	if err != nil {
		return fmt.Errorf("encoding the input: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	p, err := t.take()
	if err != nil {
		return err
	}
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		p.Kill() // whose error discard reports
	})
	answer, err := p.ask(append(request, '\n'), fn)
	if !stop() {
		<-killed
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		return errors.Join(err, t.discard(p))
	}
	t.giveBack(p)
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// answer is the last line of a call.
type answer struct {
	Error string `json:"error"`
}

// ask sends one request and reads all of its answer. After an error, the
// process is in an unknown state.
func (p *toolProcess) ask(request []byte, fn func(line []byte) error) (answer, error) {
	var end answer
	if _, err := p.in.Write(request); err != nil {
		return end, fmt.Errorf("sending the request: %w\n%s", err, Tail(p.Log(), tailLines))
	}
	for {
		line, err := p.readLine()
		if err != nil {
			return end, fmt.Errorf("reading the answer: %w\n%s", err, Tail(p.Log(), tailLines))
		}
		if strings.HasPrefix(string(line[:min(len(line), len(doneLine))]), doneLine) {
			if err := json.Unmarshal(line, &end); err != nil {
				return end, fmt.Errorf("reading the answer's end: %w", err)
			}
			return end, nil
		}
		if fn == nil {
			return end, fmt.Errorf("reading the answer: no line expected, have %s", line)
		}
		if err := fn(line); err != nil {
			return end, err
		}
	}
}

// readLine returns a line, valid until the next one.
func (p *toolProcess) readLine() ([]byte, error) {
	line, err := p.buf.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, noEOF(err)
	}
	long := append([]byte{}, line...)
	rest, err := p.buf.ReadBytes('\n')
	return append(long, rest...), noEOF(err)
}

// noEOF names an end of file: an answer ends by a line.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
