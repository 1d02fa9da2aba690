package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// served is a process of the program without connectors, on a fake Kafka.
type served struct {
	t    *testing.T
	pid  int
	addr string
}

func serveProgram(t *testing.T) *served {
	t.Helper()
	kafka := kfake.MustCluster(kfake.NumBrokers(1))
	t.Cleanup(kafka.Close)
	folder := t.TempDir()
	file, log := filepath.Join(folder, "worker.yaml"), filepath.Join(folder, "log")
	text := fmt.Sprintf("bootstrap.servers: %s\ngroup.id: g\nlisteners: http://127.0.0.1:0\nconfig.storage.replication.factor: 1\nstatus.storage.replication.factor: 1\n", strings.Join(kafka.ListenAddrs(), ","))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "run", file)
	cmd.Env, cmd.Stderr = append(os.Environ(), asProgram+"=1"), out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		_ = out.Close()
		text, _ := os.ReadFile(log)
		if bytes.Contains(text, []byte("panic")) {
			t.Errorf("it panicked:\n%s", text)
		}
	})
	s := &served{t: t, pid: cmd.Process.Pid}
	at := regexp.MustCompile(`REST interface listens: at=http://(\S+)`)
	testenv.Await(t, time.Minute, "the listener", func() bool {
		text, _ := os.ReadFile(log)
		found := at.FindSubmatch(text)
		if found == nil {
			return false
		}
		s.addr = string(found[1])
		code, _ := s.ask(http.MethodGet, "/health", nil)
		return code == http.StatusOK
	})
	return s
}

// memory is what the process has had of memory at most, in bytes, and what it has.
func (s *served) memory() (most, now int64) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	value := func(name string) int64 {
		found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(text)
		if found == nil {
			s.t.Fatalf("no %s in %s", name, text)
		}
		n, _ := strconv.ParseInt(string(found[1]), 10, 64) // of digits
		return n << 10
	}
	return value("VmHWM"), value("VmRSS")
}

// ask sends one request on a connection of its own. A body that the other end
// doesn't read to its end can't be sent; its answer counts all the same, which
// net/http's client gives up for the error of sending if that comes first.
func (s *served) ask(method, path string, body io.Reader) (int, string) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addr+path, body)
	if err != nil {
		return 0, err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		return 0, err.Error()
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	sending.Go(func() { _ = request.Write(c) })
	response, err := http.ReadResponse(bufio.NewReader(c), request)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// says sends raw bytes, and gives what comes back, and whether that has the answers
// that are wanted, in this order: once it has them it ends when the other end closes,
// or has said nothing for a second.
func (s *served) says(data string, wanted []string) (got string, found bool) {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	var sending sync.WaitGroup
	defer sending.Wait()
	defer c.Close()
	sending.Go(func() { _, _ = io.WriteString(c, data) }) // it may be cut short
	began := time.Now()
	var all bytes.Buffer
	buffer := make([]byte, 4096)
	for {
		patience := began.Add(30 * time.Second)
		if found {
			patience = time.Now().Add(time.Second)
		}
		_ = c.SetReadDeadline(patience)
		n, err := c.Read(buffer)
		all.Write(buffer[:n])
		found = found || hasAnswers(all.String(), wanted)
		if err != nil {
			return all.String(), found
		}
	}
}

// hasAnswers tells whether a text has the answers of HTTP, in this order.
func hasAnswers(text string, wanted []string) bool {
	for _, want := range wanted {
		var has bool
		if _, text, has = strings.Cut(text, "HTTP/1.1 "+want); !has {
			return false
		}
	}
	return true
}

// spaces is a body of so many bytes.
func spaces(n int64) io.Reader { return io.LimitReader(blank{}, n) }

type blank struct{}

func (blank) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestListenerOfTheProgramStandsAbuse(t *testing.T) {
	s := serveProgram(t)
	_, before := s.memory()

	// Somebody asks all the while, and is answered within a second.
	watching, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	slowest := time.Duration(0)
	answered := make(chan struct{}) // what it is sent is lost if nobody waits
	asked := 0
	watch.Go(func() {
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for ; watching.Err() == nil; <-every.C {
			began := time.Now()
			if code, text := s.ask(http.MethodGet, "/connectors", nil); code != http.StatusOK {
				t.Errorf("beside the abuse: %d %s", code, text)
			}
			asked, slowest = asked+1, max(slowest, time.Since(began))
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	})

	t.Run("bodies", func(t *testing.T) {
		deep := strings.Repeat("[", 500_000)
		many := `{"name":"a","config":{` + strings.Repeat(`"k":"v",`, 100_000) + `"k":"v"}}`
		for name, c := range map[string]struct {
			method, path string
			body         io.Reader
			code         int
			says         string
		}{
			"100 MB":             {http.MethodPost, "/connectors", spaces(100 << 20), 413, "larger than 1 MiB"},
			"100 MB of a config": {http.MethodPut, "/connectors/a/config", spaces(100 << 20), 413, "larger than 1 MiB"},
			"no JSON":            {http.MethodPost, "/connectors", strings.NewReader("{nope"), 400, ""},
			"half of it":         {http.MethodPost, "/connectors", strings.NewReader(`{"name":"a","config":{`), 400, ""},
			"unknown member":     {http.MethodPost, "/connectors", strings.NewReader(`{"name":"a","config":{},"surprise":1}`), 400, "surprise"},
			"deep":               {http.MethodPost, "/connectors", strings.NewReader(deep), 400, ""},
			"deep in a config":   {http.MethodPut, "/connectors/a/config", strings.NewReader(`{"a":` + deep), 400, ""},
			"one key many times": {http.MethodPost, "/connectors", strings.NewReader(many), 400, ""},
			"zeros":              {http.MethodPut, "/connectors/a/config", strings.NewReader(strings.Repeat("\x00", 1000)), 400, ""},
			"no UTF-8":           {http.MethodPut, "/connectors/a/config", strings.NewReader("{\"\xff\":\"\xfe\"}"), 400, ""},
			"offsets":            {http.MethodPatch, "/connectors/a/offsets", strings.NewReader(`{"offsets":` + deep), 400, ""},
			"a level":            {http.MethodPut, "/admin/loggers/root", strings.NewReader(`{"level":` + deep), 400, ""},
		} {
			code, text := s.ask(c.method, c.path, c.body)
			var told struct {
				Code    int    `json:"error_code"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal([]byte(text), &told); code != c.code || err != nil || told.Code != code || told.Message == "" || !strings.Contains(told.Message, c.says) || len(text) > 2000 {
				t.Errorf("%s: %d %.300s, want %d and a sentence", name, code, text, c.code)
			}
		}
	})
	t.Run("eight bodies of 100 MB at once", func(t *testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if code, text := s.ask(http.MethodPost, "/connectors", spaces(100<<20)); code != http.StatusRequestEntityTooLarge {
					t.Errorf("%d %s", code, text)
				}
			})
		}
		all.Wait()
	})
	t.Run("what is no HTTP", func(t *testing.T) {
		get := "GET /connectors HTTP/1.1\r\nHost: x\r\n\r\n"
		for name, c := range map[string]struct {
			data string
			says []string // in this order
		}{
			"garbage":              {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", []string{"400"}},
			"garbage behind a GET": {get + "\x00\xff\x00 garbage\r\n\r\n", []string{"200 OK", "400"}},
			"three, pipelined":     {get + get + get, []string{"200 OK", "200 OK", "200 OK"}},
			"two lengths":          {"POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", []string{"400"}},
			"length and chunks":    {"POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", []string{"400"}},
			"a negative length":    {"POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", []string{"400"}},
			"a header of 1 MB":     {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []string{"431"}},
			"a line of 1 MB":       {"GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\n\r\n", []string{"431"}},
			"10,000, pipelined":    {strings.Repeat(get, 10_000), []string{"200 OK"}},
		} {
			if got, found := s.says(c.data, c.says); !found {
				t.Errorf("%s is answered by %.300q, want %v", name, got, c.says)
			}
		}
	})
	t.Run("a thousand slow connections", func(t *testing.T) {
		for i := range 1000 {
			// Who asks beside it is no slow caller, however seldom this machine lets it
			// run: while it does so, fewer connections come than there is room for.
			if i%100 == 0 {
				<-answered
			}
			c, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			// Those that waited longest were closed for others.
			_, _ = io.WriteString(c, []string{"", "GET /connectors HT", "POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"}[i%3])
		}
		testenv.Await(t, time.Minute, "others are answered beside them", s.answers)
	})
	stop()
	watch.Wait()
	most, now := s.memory()
	t.Logf("resident: %d MiB before, %d MiB at most, %d MiB now; %d calls beside it, the slowest took %v", before>>20, most>>20, now>>20, asked, slowest)
	bound := int64(64 << 20)
	if withRaceDetector() {
		bound *= 8 // its own memory is several times the program's
	}
	if more := most - before; more > bound {
		t.Errorf("%d MiB more than before were in use", more>>20)
	}
	if slowest > time.Second {
		t.Errorf("a call beside the abuse took %v", slowest)
	}
	if asked < 10 {
		t.Errorf("only %d calls were made beside the abuse", asked)
	}
}

// answers tells whether a call on a new connection is answered within a second.
func (s *served) answers() bool {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "GET /connectors HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "HTTP/1.1 200")
}

// withRaceDetector tells whether this binary was built with -race.
func withRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
