package krpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Handler answers one call. Handlers of one connection run concurrently, and
// answer in any order. ctx ends with the connection and with the server; a
// handler must return then. One that returns without an answer (see
// ServerCall) has the call fail with ERROR_APPLICATION.
type Handler func(ctx context.Context, call *ServerCall)

// ServerOptions says what a server asks of its clients. The zero value offers
// PLAIN in the clear.
type ServerOptions struct {
	// TLS holds the server's certificate; nil means that TLS is not offered.
	TLS *tls.Config
	// RequireTLS refuses clients that do not list TLS, as
	// --rpc_encryption=required does.
	RequireTLS bool
	// TLSAuthOnly offers TLS_AUTHENTICATION_ONLY, as real servers do on
	// loopback.
	TLSAuthOnly bool
	// NoPlain leaves out SASL PLAIN, as --rpc_authentication=required does.
	NoPlain bool
	// VerifyPlain decides about a user; nil lets everyone in.
	VerifyPlain func(user, password string) error
	// GSSAPI begins to authenticate a client by SASL GSSAPI; tls is the state of
	// the handshake, nil without one. Nil means that it isn't offered.
	GSSAPI func(tls *tls.ConnectionState) Acceptor
	// VerifyToken returns the user of an authentication token; nil means that
	// tokens are not offered. They need TLS.
	VerifyToken func(*pb.SignedTokenPB) (user string, err error)
	// VerifyJWT is VerifyToken for JSON Web Tokens.
	VerifyJWT func(token string) (user string, err error)

	// NegotiationTimeout bounds the negotiation. Default 3 s, as in Kudu.
	NegotiationTimeout time.Duration
	// WriteTimeout bounds the write of one response. Default 30 s.
	WriteTimeout time.Duration
	// MaxFrameBytes bounds requests. Default ServerMaxFrameBytes.
	MaxFrameBytes int
	// MaxCalls bounds the calls of one connection that are handled at a time;
	// beyond it the server stops reading. Default 1024.
	MaxCalls int
	// Logger gets a line per connection that ends in an error. Default: none.
	Logger hclog.Logger
}

// Acceptor is the server's side of a SASL exchange.
type Acceptor interface {
	// Next answers the client's message; the last answer's step is
	// SASL_SUCCESS. The client is told of an error.
	Next(in *pb.NegotiatePB) (*pb.NegotiatePB, error)
	// Finish checks the connection context's nonce and tells the user.
	Finish(encodedNonce []byte) (user string, err error)
}

func (o ServerOptions) withDefaults() ServerOptions {
	if o.NegotiationTimeout <= 0 {
		o.NegotiationTimeout = 3 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.MaxFrameBytes <= 0 {
		o.MaxFrameBytes = ServerMaxFrameBytes
	}
	if o.MaxCalls <= 0 {
		o.MaxCalls = 1024
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return o
}

// Server is the server's side of the protocol, for fakes, proxies and tests.
// It knows no services: its handler gets every call.
type Server struct {
	opts    ServerOptions
	handler Handler
	wg      sync.WaitGroup // connections that Serve accepted

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
}

// NewServer returns a server that is reached through Serve or ServeConn.
func NewServer(opts ServerOptions, handler Handler) *Server {
	return &Server{
		opts:      opts.withDefaults(),
		handler:   handler,
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*serverConn]struct{}),
	}
}

// Serve accepts connections from l until Close, which makes it return nil, or
// until l fails. It closes l.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		l.Close()
		return ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for {
		nc, err := l.Accept()
		s.mu.Lock()
		closed := s.closed
		if err == nil && !closed {
			s.wg.Go(func() { s.serveConn(nc) })
		}
		s.mu.Unlock()
		switch {
		case closed:
			if nc != nil {
				nc.Close()
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// serveConn is ServeConn for Serve, which has nobody to return an error to.
func (s *Server) serveConn(nc net.Conn) {
	if err := s.ServeConn(nc); err != nil && !errors.Is(err, ErrClosed) {
		s.opts.Logger.Debug("connection failed", "remote", nc.RemoteAddr(), "error", err)
	}
}

// ServeConn serves one connection, which may be a net.Pipe, and closes it. It
// returns when the connection has ended and its handlers have returned: nil
// when the client left between two calls, ErrClosed after a close on this
// side.
func (s *Server) ServeConn(nc net.Conn) error {
	c := &serverConn{server: s, raw: nc, stream: nc, done: make(chan struct{})}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return ErrClosed
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	err := c.serve(ctx)
	c.shut()
	cancel()
	c.handlers.Wait()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	return err
}

// CloseConns cuts every connection and goes on listening, as a restarted
// server would.
func (s *Server) CloseConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.shut()
	}
}

// Close stops listening, cuts every connection and waits for the goroutines of
// Serve. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	s.CloseConns()
	s.wg.Wait()
	return nil
}

// serverConn is one connection.
type serverConn struct {
	server   *Server
	raw      net.Conn // the socket
	stream   net.Conn // the socket, or TLS on it
	user     string
	authn    AuthnType
	handlers sync.WaitGroup

	once sync.Once
	done chan struct{} // closed by shut

	writeMu sync.Mutex
}

// shut closes the connection from this side; serve and the handlers notice.
func (c *serverConn) shut() {
	c.once.Do(func() {
		close(c.done)
		c.raw.Close()
	})
}

func (c *serverConn) isShut() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// serve negotiates and reads calls until the connection ends.
func (c *serverConn) serve(ctx context.Context) error {
	opts := &c.server.opts
	timer := time.AfterFunc(opts.NegotiationTimeout, c.shut)
	err := c.negotiate(ctx)
	switch {
	case !timer.Stop():
		return ErrNegotiationTimeout
	case err != nil && c.isShut():
		return ErrClosed
	case err != nil:
		return err
	}
	frames := frameReader{r: bufio.NewReaderSize(c.stream, readBufferBytes), max: opts.MaxFrameBytes}
	slots := make(chan struct{}, opts.MaxCalls)
	for {
		f, err := frames.next()
		if err != nil {
			switch {
			case c.isShut():
				return ErrClosed
			case err == io.EOF:
				return nil
			}
			return err
		}
		call, err := c.parse(f)
		if err != nil {
			f.buf.release()
			return err
		}
		select {
		case slots <- struct{}{}:
		case <-c.done:
			f.buf.release()
			return ErrClosed
		}
		c.handlers.Go(func() {
			defer func() { <-slots }()
			defer f.buf.release()
			c.server.handler(ctx, call)
			if !call.answered.Load() {
				_ = call.Fail(pb.ErrorStatusPB_ERROR_APPLICATION, "the handler gave no answer")
			}
		})
	}
}

// parse makes a call of a frame. An unreadable header is answered as real
// servers do, and ends the connection.
func (c *serverConn) parse(f frame) (*ServerCall, error) {
	var header pb.RequestHeader
	if err := proto.Unmarshal(f.header, &header); err != nil {
		err = malformed("request header: %v", err)
		if frame, encErr := EncodeError(-1, pb.ErrorStatusPB_FATAL_INVALID_RPC_HEADER, err.Error(), nil); encErr == nil {
			_ = c.write(frame)
		}
		return nil, err
	}
	offsets := header.GetSidecarOffsets()
	check := responseHeader{offsets: offsets}
	if len(offsets) > MaxSidecars || !slices.IsSorted(offsets) {
		return nil, malformed("sidecar offsets of a request")
	}
	if err := check.check(f.body); err != nil {
		return nil, err
	}
	return &ServerCall{
		Service:   header.GetRemoteMethod().GetServiceName(),
		Method:    header.GetRemoteMethod().GetMethodName(),
		Features:  header.GetRequiredFeatureFlags(),
		RequestID: header.GetRequestId(),
		Timeout:   time.Duration(header.GetTimeoutMillis()) * time.Millisecond,
		User:      c.user,
		Authn:     c.authn,
		CallID:    header.GetCallId(),
		Body:      mainMessage(f.body, offsets),
		conn:      c,
	}, nil
}

// write sends one frame; frames of concurrent handlers do not mix.
func (c *serverConn) write(b []byte) error {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	if err := c.stream.SetWriteDeadline(time.Now().Add(c.server.opts.WriteTimeout)); err != nil {
		return err
	}
	_, err := c.stream.Write(b)
	if err != nil {
		c.shut() // half a frame may have gone out
	}
	return err
}
