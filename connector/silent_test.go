package connector

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// silence is the way to a cluster that can be held up: connections are taken, nothing
// is answered, as by a broker that has got SIGSTOP.
type silence struct {
	mu    sync.Mutex
	conns []net.Conn
	held  chan struct{} // closed when the cluster may answer again; nil while it may
	taken chan struct{} // told of each connection that is made while nothing is answered
}

func newSilence(t *testing.T) (*silence, *kfake.Cluster) {
	t.Helper()
	s := &silence{taken: make(chan struct{}, 1)}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, address string) (net.Listener, error) {
		l, err := net.Listen(network, address)
		return &silentListener{l, s}, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	t.Cleanup(s.end)
	for _, topic := range []string{rowsTopic, offsetsTopic} {
		if err := c.CreateTopic(topic, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	return s, c
}

// begin cuts all connections; no new one gets an answer.
func (s *silence) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
	for _, c := range s.conns {
		_ = c.Close()
	}
}

func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

type silentListener struct {
	net.Listener
	silence *silence
}

func (l *silentListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := l.silence
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	if s.held != nil {
		select {
		case s.taken <- struct{}{}:
		default:
		}
	}
	return &silentConn{c, s}, nil
}

type silentConn struct {
	net.Conn
	silence *silence
}

func (c *silentConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.silence.mu.Lock()
	held := c.silence.held
	c.silence.mu.Unlock()
	if held != nil {
		<-held
	}
	return n, err
}

// The client waits for a connection that is being opened whatever its requests' contexts
// say, 10 s and more. These waits aren't to be a stop's.
const connectionWait = 5 * time.Second

func TestLeavingDoesNotWaitForAConnectionThatIsBeingOpened(t *testing.T) {
	t.Parallel()
	s, c := newSilence(t)
	var g *group
	made, began, confirm := make(chan struct{}), make(chan struct{}), make(chan struct{})
	g, err := joinGroup(groupOptions{
		kafka: kafka.Options{BootstrapServers: c.ListenAddrs()}, id: "g-orders", topic: offsetsTopic, tasks: 1, session: 30 * time.Second,
		heartbeat: 10 * time.Second, rebalance: 10 * time.Second, logger: hclog.NewNullLogger(),
		runTask: func(ctx context.Context, task int32) {
			if task > 0 {
				return
			}
			<-made
			close(began)
			<-confirm
			if err := g.confirm(ctx, func(error) {}); err == nil {
				t.Error("the membership was confirmed")
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	close(made)
	<-began
	s.begin()
	close(confirm)
	<-s.taken
	stopped := time.Now()
	g.leave(context.WithoutCancel(t.Context()), false)
	if took := time.Since(stopped); took > connectionWait {
		t.Errorf("leaving took %v", took)
	}
}

func TestAbortDoesNotWaitForAConnectionThatIsBeingOpened(t *testing.T) {
	t.Parallel()
	s, c := newSilence(t)
	ctx, stop := context.WithCancel(t.Context())
	p, err := openProducer(ctx, producerOptions{
		Kafka: kafka.Options{BootstrapServers: c.ListenAddrs()}, TransactionalID: "g-orders-0", OffsetsTopic: offsetsTopic, StopTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.produce(ctx, rowRecord(1), p.promise); err != nil {
		t.Fatal(err)
	}
	if err := p.client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	s.begin()
	stop()
	began := time.Now()
	out, err := p.abort(ctx)
	if out != unknown || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", out, err)
	}
	if took := time.Since(began); took > connectionWait {
		t.Errorf("it took %v", took)
	}
}
