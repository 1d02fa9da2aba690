package kafka

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestWaitForASilentBrokerEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, err := kgo.NewClient(Options{BootstrapServers: []string{listener.Addr().String()}}.Within(ctx)...)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := kadm.NewClient(client).BrokerMetadata(ctx)
		asked <- err
	}()
	conn := <-accepted
	began := time.Now()
	cancel()
	if err := <-asked; err == nil {
		t.Error("a broker that never answers has answered")
	}
	client.Close()
	// The client alone takes 10 s.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the end of the context was heeded after %v", took)
	}
	_ = listener.Close()
	_ = conn.Close()
	for conn := range accepted {
		_ = conn.Close()
	}
}
