package rest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

// endless is a body that counts what is taken of it.
type endless struct {
	left  int64
	taken int64
}

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	for i := range p[:n] {
		p[i] = ' '
	}
	e.left, e.taken = e.left-n, e.taken+n
	return int(n), nil
}

// heap is how much memory is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func TestBodyOf100MBIsRefusedAtItsFirstMegabyte(t *testing.T) {
	s := serve(t, newFake())
	before := heap()
	var most int64
	for _, test := range []struct {
		name    string
		chunked bool
	}{{"announced", false}, {"without a length", true}} {
		body := &endless{left: 100 << 20}
		request, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/connectors", body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if !test.chunked {
			request.ContentLength = body.left
		}
		response, err := s.client.Do(request)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != 413 || string(text) != refusalBody("413", "The body is larger than 1 MiB") {
			t.Errorf("%s: answer %d %s", test.name, response.StatusCode, text)
		}
		most = max(most, heap()-before)
		s.client.CloseIdleConnections()
	}
	if most > 8<<20 {
		t.Errorf("%d bytes more are in use after the bodies", most)
	}
	if got := s.call(t, "GET", "/connectors", ""); got.status != 200 {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestBodyThatIsJustLargeEnoughPasses(t *testing.T) {
	s := serve(t, newFake())
	frame := `{"a":"` + `"}`
	if got := s.call(t, "PUT", "/connectors/a/config", `{"a":"`+strings.Repeat("x", maxBody-len(frame))+`"}`); got.status != 201 {
		t.Errorf("a body of 1 MiB gives %d %.200s", got.status, got.body)
	}
	if got := s.call(t, "PUT", "/connectors/a/config", `{"a":"`+strings.Repeat("x", maxBody-len(frame)+1)+`"}`); got.status != 413 {
		t.Errorf("a byte more gives %d %.200s", got.status, got.body)
	}
}

func TestHeaderThatIsTooLargeIsRefused(t *testing.T) {
	s := serve(t, newFake())
	if got := s.call(t, "GET", "/connectors", "", "X: "+strings.Repeat("x", 64<<10)); got.status != 431 {
		t.Errorf("a header of 64 KiB gives %+v", got)
	}
	if got := s.call(t, "GET", "/connectors", "", "X: "+strings.Repeat("x", 8<<10)); got.status != 200 {
		t.Errorf("a header of 8 KiB gives %+v", got)
	}
}

// raw opens a connection and sends the beginning of a request.
func (s *site) raw(t *testing.T, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestThousandSlowConnectionsKeepNobodyOut(t *testing.T) {
	s := serve(t, newFake())
	before := heap()
	for i := range 1000 {
		text := []string{"", "GET /connectors HT", "POST /connectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"}[i%3]
		s.raw(t, text)
		if i%250 == 249 {
			if got := s.call(t, "GET", "/connectors", ""); got.status != 200 {
				t.Fatalf("beside %d slow connections: %+v", i+1, got)
			}
			s.client.CloseIdleConnections()
		}
	}
	s.listeners.pool.mu.Lock()
	held := len(s.listeners.pool.all)
	s.listeners.pool.mu.Unlock()
	if held > maxConnections {
		t.Errorf("%d connections are held, the limit is %d", held, maxConnections)
	}
	// Both ends of the connections are in this process.
	if more := heap() - before; more > 24<<20 {
		t.Errorf("%d bytes more are in use beside 1,000 slow connections", more)
	}
}

func TestRequestsUnderWayAreNotClosedForNewConnections(t *testing.T) {
	api := newFake()
	entered, release := make(chan struct{}), make(chan struct{})
	api.hook = func(_ context.Context, method string) error {
		if method == "Info" {
			entered <- struct{}{}
			<-release
		}
		return nil
	}
	s := serve(t, api)
	s.listeners.pool.mu.Lock()
	s.listeners.pool.limit = 2
	s.listeners.pool.mu.Unlock()
	answers := make(chan string, 2)
	var calls sync.WaitGroup
	for range 2 {
		c := s.raw(t, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		calls.Go(func() {
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				answers <- err.Error()
				return
			}
			response.Body.Close()
			answers <- response.Status
		})
		<-entered
	}
	// All that the pool may hold is busy: a third is closed at once.
	third := s.raw(t, "")
	if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a connection too many was served: %d, %v", n, err)
	}
	close(release)
	calls.Wait()
	for range 2 {
		if got := <-answers; got != "200 OK" {
			t.Errorf("a request under way ended with %s", got)
		}
	}
}

func TestRequestThatTakesTooLongIsAnswered(t *testing.T) {
	api := newFake()
	api.hook = func(ctx context.Context, method string) error {
		if method != "Offsets" && method != "Info" {
			return nil
		}
		<-ctx.Done()
		if method == "Info" {
			return fmt.Errorf("asking Kafka: %w", ctx.Err())
		}
		return &herder.Error{Kind: herder.Unavailable, Message: "Worker w:1 has not answered", Cause: ctx.Err()}
	}
	s := serve(t, api)
	s.timeout = time.Millisecond
	s.check(t, []row{
		{"GET", "/", "", "", 500, refusalBody("500", "Request timed out")},
		{"GET", "/connectors/a/offsets", "", "", 500, refusalBody("500", "Request timed out. Worker w:1 has not answered")},
	})
}

func TestErrorsKeepWhatIsForTheLogOutOfAnswers(t *testing.T) {
	api := newFake()
	var log bytes.Buffer
	var failure error
	api.hook = func(context.Context, string) error {
		if failure == nil {
			panic("at /etc/passwd")
		}
		return failure
	}
	s := serve(t, api, func(_ *connector.WorkerConfig, o *Options) {
		o.Logger = hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})
	})
	failed := refusalBody("500", "The request failed; the worker's log says why")
	for _, test := range []struct {
		err    error
		status int
		want   string
	}{
		{nil, 500, failed},
		{errors.New("open /etc/passwd: no"), 500, failed},
		{fmt.Errorf("wrapped: %w", refused(herder.Forbidden, "Topic tracking is disabled.")), 403, refusalBody("403", "Topic tracking is disabled.")},
		{refused(herder.Conflict, "busy"), 409, refusalBody("409", "busy")},
		{refused(herder.Invalid, "wrong"), 400, refusalBody("400", "wrong")},
		{refused(herder.NotFound, "gone"), 404, refusalBody("404", "gone")},
		{refused(herder.Unavailable, "away"), 500, refusalBody("500", "away")},
		{refused(herder.Kind(99), "strange"), 500, failed},
	} {
		failure = test.err
		s.check(t, []row{{"GET", "/connectors/a/topics", "", "", test.status, test.want}})
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"panic=\"at /etc/passwd\"", "open /etc/passwd: no"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestExpandLeavesOutWhatIsDeletedMeanwhile(t *testing.T) {
	api := newFake()
	s := serve(t, api)
	for _, name := range []string{"a", "b"} {
		s.call(t, "PUT", "/connectors/"+name+"/config", "{}")
	}
	var failure error = refused(herder.NotFound, "gone")
	first := true
	api.hook = func(_ context.Context, method string) error {
		if method == "Status" && first {
			first = false
			return failure
		}
		return nil
	}
	if got := s.call(t, "GET", "/connectors?expand=status", ""); got.status != 200 || !strings.HasPrefix(got.body, `{"b":{"status":`) {
		t.Errorf("got %+v", got)
	}
	first, failure = true, refused(herder.Unavailable, "away")
	if got := s.call(t, "GET", "/connectors?expand=status", ""); got.status != 500 {
		t.Errorf("got %+v", got)
	}
}

func TestStopAnswersWhatIsUnderWayAndClosesTheRest(t *testing.T) {
	api := newFake()
	entered := make(chan struct{})
	api.hook = func(ctx context.Context, _ string) error {
		close(entered)
		<-ctx.Done()
		return fmt.Errorf("waiting: %w", ctx.Err())
	}
	s := serve(t, api)
	slow := s.raw(t, "GET /conn")
	answered := make(chan reply, 1)
	go func() {
		r, err := s.try(context.WithoutCancel(t.Context()), "GET", "/", nil)
		if err != nil {
			r.body = err.Error()
		}
		answered <- r
	}()
	<-entered
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if took := time.Since(began); took > drainTimeout {
		t.Errorf("stopping took %v", took)
	}
	if got := <-answered; got.status != 503 || got.body != refusalBody("503", "The worker is shutting down") {
		t.Errorf("the request under way got %+v", got)
	}
	if n, err := slow.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the slow connection got %d bytes: %v", n, err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		t.Error("the address still accepts connections")
	}
}

func TestRunWithoutListenersWaitsForItsEnd(t *testing.T) {

	listeners, err := Listen(t.Context(), connector.WorkerConfig{Listeners: []string{"none"}, RESTAdvertisedHost: "h"}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if got := listeners.Advertised(); got != "h:0" || len(listeners.Addresses()) != 0 {
		t.Errorf("advertised is %s at %v", got, listeners.Addresses())
	}
	s := New(listeners, newFake(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestListenerThatFailsEndsTheServer(t *testing.T) {
	listeners, err := Listen(t.Context(), connector.WorkerConfig{Listeners: []string{"http://127.0.0.1:0"}}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	listeners.Close()
	if err := New(listeners, newFake(), Options{}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serving http://127.0.0.1:") {
		t.Errorf("Run gives %v", err)
	}
}
