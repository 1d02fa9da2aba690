package kudu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/krpc"
	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// Scanner reads the rows of one tablet, batch by batch. One goroutine of its
// own asks for the next batch while the reader works on the current one, keeps
// the server's scanner alive while the reader takes its time, and opens the
// scan again at another replica when a server fails. At most two batches are
// in memory.
//
// A Scanner serves one goroutine at a time.
//
// Way of one row: this file fetches its bytes, kudu/rowbatch.go shows them as
// typed cells.
type Scanner struct {
	out    chan *fetched
	free   chan *fetched
	cancel context.CancelFunc
	done   chan struct{}
	close  sync.Once

	snapshot atomic.Uint64
	answers  atomic.Uint64
	current  *fetched
	err      error // how the scan ended: io.EOF or a failure
}

// fetched is one answer on its way to the reader.
type fetched struct {
	batch   RowBatch
	payload *krpc.Payload
	rowwise rowwise // what the batch is made of when payload isn't
	err     error
}

func (f *fetched) release() {
	f.payload.Release()
	f.payload = nil
}

// Scan starts reading one tablet of the table, by its id. It doesn't wait for
// the server: a failure to open comes from Next. Close the scanner at the end.
func (t *Table) Scan(tablet string, opts ScanOptions) (*Scanner, error) {
	const op = "scanning"
	opts, err := opts.normalize()
	if err != nil {
		return nil, &Error{Op: op, Table: t.name, Tablet: tablet, Err: err}
	}
	cs, err := compile(t.schema, opts.Predicates)
	if err == nil && opts.Since != 0 {
		err = cs.keysOnly(t.schema)
	}
	if err != nil {
		return nil, &Error{Op: op, Table: t.name, Tablet: tablet, Err: err}
	}
	proj, err := opts.wireProjection(t.schema, cs)
	if err != nil {
		return nil, &Error{Op: op, Table: t.name, Tablet: tablet, Err: err}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Scanner{
		out: make(chan *fetched), free: make(chan *fetched, 2), cancel: cancel, done: make(chan struct{}),
	}
	for range cap(s.free) {
		s.free <- &fetched{}
	}
	p := &pump{s: s, c: t.c, table: t, tablet: tablet, opts: opts, proj: proj, conditions: cs, avoid: make(map[string]bool)}
	p.resume.snapshot = opts.Snapshot
	s.snapshot.Store(uint64(opts.Snapshot))
	go func() {
		defer close(s.done)
		p.run(ctx)
	}()
	return s, nil
}

// Next gives the next batch with at least one row, or io.EOF after the last.
// The batch, and all that was taken from the one before, is valid until the
// following call of Next or Close. A failure is final; none wraps io.EOF, also when
// it is that a connection ended.
func (s *Scanner) Next(ctx context.Context) (*RowBatch, error) {
	s.giveBack()
	if s.err != nil {
		return nil, s.err
	}
	select {
	case f, ok := <-s.out:
		switch {
		case !ok:
			s.err = io.EOF
		case f.err != nil:
			s.err = f.err
		default:
			s.current = f
			return &f.batch, nil
		}
		return nil, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Snapshot is the timestamp that the scan reads at; known once Next has
// returned a batch or io.EOF. It is zero in the mode ReadLatest, and when the
// server chooses the snapshot but no row can meet the predicates.
func (s *Scanner) Snapshot() Timestamp { return Timestamp(s.snapshot.Load()) }

// Answers is how many answers of servers the scan has had. It grows also while
// Next waits, when no row in them passes the predicates. Safe for concurrent use.
func (s *Scanner) Answers() uint64 { return s.answers.Load() }

// Close ends the scan, also in the middle, and waits for its goroutine, but not for the
// server, which is told to free its scanner. It may be called more than once.
func (s *Scanner) Close() error {
	s.close.Do(func() {
		s.cancel()
		<-s.done
		s.giveBack()
		if s.err == nil {
			s.err = &Error{Op: "scanning", Err: ErrClosed}
		}
	})
	return nil
}

func (s *Scanner) giveBack() {
	if s.current == nil {
		return
	}
	s.current.release()
	s.free <- s.current // never blocks: there are as many places as batches
	s.current = nil
}

// pump is the goroutine of a scanner: it owns the scanner on the server.
type pump struct {
	s      *Scanner
	c      *Client
	table  *Table
	tablet string
	opts   ScanOptions
	proj   *projection
	resume resumePoint

	conditions *conditions

	// The scanner on the server; id is nil when none is open there.
	id   []byte
	addr string
	seq  uint32

	where *Tablet         // whose replicas are tried; nil to look them up
	avoid map[string]bool // addresses of replicas that have failed since the last answer
	busy  int             // answers since then that the server is busy
}

func (p *pump) run(ctx context.Context) {
	defer close(p.s.out)
	defer p.closeRemote()
	if p.conditions.never {
		return
	}
	for {
		var f *fetched
		select {
		case f = <-p.s.free:
		case <-ctx.Done():
			return
		}
		more, err := p.fetch(ctx, f)
		f.err = err
		if err == nil && f.batch.rows == 0 {
			// Nothing passed the filter in the server's time slice.
			f.release()
			p.s.free <- f
			if more {
				continue
			}
			return
		}
		if !p.deliver(ctx, f) || err != nil || !more {
			return
		}
	}
}

// deliver hands the answer to the reader, and keeps the server's scanner alive
// meanwhile. It reports whether the reader took it.
func (p *pump) deliver(ctx context.Context, f *fetched) bool {
	select {
	case p.s.out <- f:
		return true
	default:
	}
	tick := time.NewTicker(p.c.cfg.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case p.s.out <- f:
			return true
		case <-ctx.Done():
			f.release()
			return false
		case <-tick.C:
			if p.keepAliveWhile(ctx, f) {
				return true
			}
		}
	}
}

// keepAliveWhile renews the lease beside offering the answer: a server that
// stands still must not hold up the reader. It reports whether the reader took
// the answer.
func (p *pump) keepAliveWhile(ctx context.Context, f *fetched) (taken bool) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.keepAlive(ctx)
	}()
	select {
	case p.s.out <- f:
		taken = true
	case <-done:
	}
	cancel()
	<-done
	return taken
}

// keepAlive renews the lease of the server's scanner. If that fails the scan
// is opened again when the reader comes back.
func (p *pump) keepAlive(ctx context.Context) {
	if p.id == nil {
		return
	}
	resp := &pb.ScannerKeepAliveResponsePB{}
	payload, err := p.c.call(ctx, p.addr, "keeping the scanner alive", &krpc.Request{
		Service: krpc.TabletServerService, Method: "ScannerKeepAlive",
		Body: &pb.ScannerKeepAliveRequestPB{ScannerId: p.id},
	}, resp)
	payload.Release()
	if err == nil && resp.GetError() != nil {
		err = p.c.told(tserverError("keeping the scanner alive", p.addr, resp.GetError()))
	}
	if errors.Is(err, ErrScannerExpired) && p.resumable() {
		p.id = nil
	}
}

// closeRemote has the server's scanner freed, if one is open. Nobody waits for that but
// the client's Close: with many scanners at a server that is silent it would take long.
func (p *pump) closeRemote() {
	if p.id == nil {
		return
	}
	c, tablet, id, addr := p.c, p.tablet, p.id, p.addr
	c.farewells.begin(func(ctx context.Context) {
		payload, err := c.call(ctx, addr, "closing a scanner", &krpc.Request{
			Service: krpc.TabletServerService, Method: "Scan",
			Body: &pb.ScanRequestPB{ScannerId: id, BatchSizeBytes: ptr(uint32(0)), CloseScanner: ptr(true)},
		}, &pb.ScanResponsePB{})
		payload.Release()
		if err != nil {
			// The server drops it by itself when its lease runs out.
			c.cfg.Logger.Debug("closing a scanner", "tablet", tablet, "error", err)
		}
	})
}

// named adds table and tablet to the error.
func (p *pump) named(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Op: "scanning", Table: p.table.name, Tablet: p.tablet, Err: err}
	}
	out := *e
	out.Table, out.Tablet = p.table.name, p.tablet
	if errors.Is(err, ErrNotResumable) && !errors.Is(e.Err, ErrNotResumable) {
		out.Class, out.Err = ClassFatal, fmt.Errorf("%w: %w", ErrNotResumable, e.Err)
	}
	return &out
}
