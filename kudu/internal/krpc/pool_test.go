package krpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoolSharesOneDial(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	var dials atomic.Int32
	p := NewPool(Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	defer p.Close()
	var mu sync.Mutex
	conns := make(map[*Conn]bool)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			c, err := p.Get(testContext(t), addr)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			conns[c] = true
		})
	}
	wg.Wait()
	if len(conns) != 1 || dials.Load() != 1 {
		t.Errorf("%d connections, %d dials", len(conns), dials.Load())
	}
}

func TestPoolReplacesDeadConnections(t *testing.T) {
	addr, srv := listen(t, ServerOptions{}, echo)
	p := NewPool(Options{})
	defer p.Close()
	ctx := testContext(t)
	first, err := p.Get(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	srv.CloseConns()
	<-first.Done()
	second, err := p.Get(ctx, addr)
	if err != nil || second == first {
		t.Fatalf("got %p after %p, %v", second, first, err)
	}
	if _, err := second.Call(ctx, request("Echo", ""), nil); err != nil {
		t.Error(err)
	}
}

func TestPoolWaitersAreBoundByTheirOwnContextAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(ServerOptions{}, echo)
		opts := overPipe(t, srv)
		dial := opts.Dial
		opts.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(2 * time.Second) // on the test's clock
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return dial(ctx, network, addr)
		}
		p := NewPool(opts)
		defer p.Close()
		hasty, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		result := make(chan error, 1)
		go func() {
			_, err := p.Get(hasty, "slow") // starts the dial
			result <- err
		}()
		synctest.Wait()
		c, err := p.Get(context.Background(), "slow")
		if err != nil || c.Err() != nil {
			t.Errorf("the patient caller got %v", err)
		}
		if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hasty caller got %v", err)
		}
	})
}

func TestPoolFailuresAreSharedAndNotKept(t *testing.T) {
	addr, _ := listen(t, ServerOptions{}, echo)
	var fail atomic.Bool
	fail.Store(true)
	errDown := errors.New("down")
	p := NewPool(Options{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if fail.Load() {
			return nil, errDown
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	defer p.Close()
	if _, err := p.Get(testContext(t), addr); !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
	fail.Store(false)
	if _, err := p.Get(testContext(t), addr); err != nil {
		t.Error(err)
	}
}

func TestPoolCloseEndsDialsAndCalls(t *testing.T) {
	started := make(chan struct{}, 1)
	addr, _ := listen(t, ServerOptions{}, func(ctx context.Context, call *ServerCall) {
		started <- struct{}{}
		<-ctx.Done()
	})
	dialling := make(chan struct{})
	p := NewPool(Options{Dial: func(ctx context.Context, network, a string) (net.Conn, error) {
		if a != addr {
			close(dialling)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, a)
	}})
	c, err := p.Get(testContext(t), addr)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 2)
	go func() {
		_, err := c.Call(context.Background(), request("Wait", ""), nil)
		errs <- err
	}()
	go func() {
		_, err := p.Get(context.Background(), "stuck:1")
		errs <- err
	}()
	<-started
	<-dialling
	p.Close()
	p.Close()
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := p.Get(context.Background(), addr); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}
