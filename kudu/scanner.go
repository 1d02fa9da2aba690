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
	current  *fetched
	err      error // how the scan ended: io.EOF or a failure
}

// fetched is one answer on its way to the reader.
type fetched struct {
	batch   RowBatch
	payload *krpc.Payload
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
	proj, err := opts.projection(t.schema)
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
	p := &pump{s: s, c: t.c, table: t, tablet: tablet, opts: opts, proj: proj}
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
// following call of Next or Close. A failure is final.
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
// returned a batch or io.EOF. Zero in the mode ReadLatest.
func (s *Scanner) Snapshot() Timestamp { return Timestamp(s.snapshot.Load()) }

// Close ends the scan, also in the middle, and waits for its goroutine. It may
// be called more than once.
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
	proj   *Schema
	resume resumePoint

	// The scanner on the server; id is nil when none is open there.
	id   []byte
	addr string
	seq  uint32
}

func (p *pump) run(ctx context.Context) {
	defer close(p.s.out)
	defer p.closeRemote(ctx)
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
			p.keepAlive(ctx)
		}
	}
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
		err = tserverError("keeping the scanner alive", p.addr, resp.GetError())
	}
	if errors.Is(err, ErrScannerExpired) && p.resumable() {
		p.id = nil
	}
}

// resumable reports whether the scan can be opened again without giving rows
// twice.
func (p *pump) resumable() bool { return p.opts.Ordered || p.resume.rows == 0 }

// fetch gets the next answer, and does what it takes: opens the scan, waits
// for a busy server, finds another replica. It gives up when nothing has
// succeeded for the client's OperationTimeout.
func (p *pump) fetch(ctx context.Context, f *fetched) (more bool, err error) {
	giveUp := time.Now().Add(p.c.cfg.OperationTimeout)
	pace := newBackOff()
	for {
		more, err = p.attempt(ctx, f)
		if err == nil || ctx.Err() != nil {
			return more, err
		}
		if err := p.react(ctx, err); err != nil {
			return false, p.named(err)
		}
		wait := pace.NextBackOff()
		if time.Now().Add(wait).After(giveUp) {
			return false, p.named(gaveUp("scanning", context.DeadlineExceeded, err))
		}
		p.c.cfg.Logger.Debug("scan goes on after a failure", "table", p.table.name, "tablet", p.tablet, "wait", wait, "error", err)
		if stop := sleep(ctx, wait); stop != nil {
			return false, p.named(gaveUp("scanning", stop, err))
		}
	}
}

// react prepares the next attempt after a failure, or returns the error that
// ends the scan.
func (p *pump) react(ctx context.Context, err error) error {
	class := ClassOf(err)
	var e *Error
	if errors.As(err, &e) && class == ClassRetry && p.id != nil && !errors.Is(err, ErrScannerExpired) {
		// The server was too busy to begin the call: the same one may be sent
		// again, with the same sequence number.
		p.seq--
		return nil
	}
	switch class {
	case ClassFatal:
		return err
	case ClassReauth:
		if err := p.table.renewAuthz(ctx); err != nil {
			return err
		}
	case ClassRelocate, ClassReconnect:
		p.forgetReplica()
	}
	if p.id != nil {
		p.id = nil
		if !p.resumable() {
			return fmt.Errorf("%w: %w", ErrNotResumable, err)
		}
	}
	return nil
}

func (p *pump) forgetReplica() {
	p.c.locations.mu.Lock()
	var tablet *Tablet
	if e := p.c.locations.tablets[p.tablet]; e != nil {
		tablet = e.tablet
	}
	p.c.locations.mu.Unlock()
	if tablet != nil {
		p.c.locations.forget(tablet)
	}
}

// attempt makes one call: it opens the scan, or asks the open one for more.
func (p *pump) attempt(ctx context.Context, f *fetched) (more bool, err error) {
	req := &pb.ScanRequestPB{BatchSizeBytes: ptr(uint32(p.opts.BatchBytes))}
	rpc := &krpc.Request{Service: krpc.TabletServerService, Method: "Scan", Body: req}
	opening := p.id == nil
	if opening {
		if p.addr, err = p.replica(ctx); err != nil {
			return false, err
		}
		p.seq = 0
		open := p.opts.openRequest(p.tablet, p.proj, p.resume)
		open.AuthzToken = p.table.authzToken()
		if ts := p.c.propagated.Load(); ts != 0 {
			open.PropagatedTimestamp = &ts
		}
		req.NewScanRequest = open
		rpc.Features = []uint32{featureColumnar}
	} else {
		p.seq++
		req.ScannerId = p.id
	}
	req.CallSeqId = ptr(p.seq)

	resp := &pb.ScanResponsePB{}
	payload, err := p.c.call(ctx, p.addr, "scanning", rpc, resp)
	if err != nil {
		return false, err
	}
	if e := resp.GetError(); e != nil {
		payload.Release()
		return false, tserverError("scanning", p.addr, e)
	}
	f.payload = payload
	if err := p.accept(f, resp, opening); err != nil {
		f.release()
		return false, &Error{Op: "scanning", Addr: p.addr, Sent: true, Err: fmt.Errorf("%w: %w", ErrMalformed, err)}
	}
	return resp.GetHasMoreResults(), nil
}

// accept takes the rows of an answer and moves the resume point behind them.
func (p *pump) accept(f *fetched, resp *pb.ScanResponsePB, opening bool) error {
	p.c.observe(resp.GetPropagatedTimestamp())
	if resp.GetHasMoreResults() {
		if opening {
			if p.id = resp.GetScannerId(); len(p.id) == 0 {
				return errors.New("the server has more rows but names no scanner")
			}
		}
	} else {
		p.id = nil // the server has dropped it already
	}
	block := resp.GetColumnarData()
	if block == nil {
		if resp.GetData().GetNumRows() != 0 {
			return errors.New("the rows come in the row-wise layout, not the columnar one")
		}
		// Without a row, not even of an empty block, there is nothing to show.
		f.batch.schema, f.batch.rows = p.proj, 0
	} else if err := decodeColumnar(&f.batch, p.proj, block, f.payload); err != nil {
		return err
	}
	if resp.SnapTimestamp != nil {
		p.resume.snapshot = Timestamp(resp.GetSnapTimestamp())
		p.s.snapshot.Store(resp.GetSnapTimestamp())
	}
	if len(resp.GetLastPrimaryKey()) > 0 {
		p.resume.lastKey = resp.GetLastPrimaryKey()
	}
	if p.opts.Ordered && f.batch.rows > 0 && resp.LastPrimaryKey == nil {
		return errors.New("an ordered answer with rows names no last primary key")
	}
	p.resume.rows += uint64(f.batch.rows)
	if p.opts.Limit > 0 && p.resume.rows > p.opts.Limit {
		return fmt.Errorf("the answers hold %d rows, beyond the limit of %d", p.resume.rows, p.opts.Limit)
	}
	return nil
}

// replica chooses the server to read from: the leader.
func (p *pump) replica(ctx context.Context) (string, error) {
	tablet, err := p.c.locations.tablet(ctx, p.tablet)
	if err != nil {
		return "", err
	}
	if leader := tablet.Leader(); leader != nil {
		return leader.Addr, nil
	}
	p.c.locations.forget(tablet)
	return "", &Error{Op: "scanning", Class: ClassRetry, Err: errors.New("the tablet has no leader now")}
}

// closeRemote frees the server's scanner, if one is open.
func (p *pump) closeRemote(ctx context.Context) {
	if p.id == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	payload, err := p.c.call(ctx, p.addr, "closing a scanner", &krpc.Request{
		Service: krpc.TabletServerService, Method: "Scan",
		Body: &pb.ScanRequestPB{ScannerId: p.id, BatchSizeBytes: ptr(uint32(0)), CloseScanner: ptr(true)},
	}, &pb.ScanResponsePB{})
	payload.Release()
	if err != nil {
		// The server drops it by itself when its lease runs out.
		p.c.cfg.Logger.Debug("closing a scanner", "tablet", p.tablet, "error", err)
	}
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
