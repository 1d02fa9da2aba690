package krpc

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// readBufferBytes saves a system call for the length of each frame, and more
// when small frames come in a row; large frames bypass it.
const readBufferBytes = 16 << 10

// readLoop hands responses to their calls until the stream ends, and returns
// why it did.
func (c *Conn) readLoop() error {
	frames := frameReader{r: bufio.NewReaderSize(c.nc, readBufferBytes), max: c.opts.MaxFrameBytes}
	var scratch []uint32
	for {
		f, err := frames.next()
		if err == io.EOF {
			return ErrClosedByServer
		}
		if err != nil {
			return err
		}
		header, err := parseResponseHeader(f.header, scratch)
		if err == nil {
			err = header.check(f.body)
		}
		if err != nil {
			f.buf.release()
			return err
		}
		scratch = header.offsets
		if header.isError {
			err = c.deliverError(header, f)
		} else {
			err = c.deliver(header.callID, outcome{frame: f, offsets: slices.Clone(header.offsets)})
		}
		if err != nil {
			return err
		}
	}
}

// deliverError ends a call with the error frame f. It returns an error when
// the connection is to be closed.
func (c *Conn) deliverError(header responseHeader, f frame) error {
	callErr, err := parseCallError(c.addr, mainMessage(f.body, header.offsets))
	f.buf.release()
	if err != nil {
		return err
	}
	if !callErr.Fatal() {
		return c.deliver(header.callID, outcome{err: callErr})
	}
	// Fatal errors may name no call, or one that is none: the connection ends
	// in any case. The text goes to the other calls, not the error itself:
	// whoever asks for its code must not take it for an answer to theirs.
	if err := c.deliver(header.callID, outcome{err: callErr}); err != nil {
		c.opts.Logger.Debug("fatal error without a call", "addr", c.addr, "error", callErr)
	}
	return fmt.Errorf("closed after %v", callErr)
}

// deliver gives an outcome to the call with the id. A call that was given up
// drops it; an id that was never sent means that the two sides are out of step.
func (c *Conn) deliver(id int32, out outcome) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl, ok := c.calls[id]
	if ok && cl.sent {
		delete(c.calls, id)
		var callErr *CallError
		if errors.As(out.err, &callErr) {
			callErr.Method = cl.method
		}
		cl.done <- out
		return nil
	}
	out.frame.buf.release()
	if _, ok := c.abandoned[id]; ok {
		delete(c.abandoned, id)
		return nil
	}
	if c.err != nil {
		return c.err
	}
	return malformed("response to call %d, which is not in flight", id)
}

// parseCallError decodes the body of an error frame.
func parseCallError(addr string, body []byte) (*CallError, error) {
	var status pb.ErrorStatusPB
	if err := proto.Unmarshal(body, &status); err != nil {
		return nil, malformed("decoding an error frame: %v", err)
	}
	return &CallError{
		Addr:                addr,
		Method:              "unknown call",
		Code:                status.GetCode(),
		Message:             status.GetMessage(),
		UnsupportedFeatures: status.GetUnsupportedFeatureFlags(),
	}, nil
}

// writeLoop sends what is queued. All frames that wait go out in one write.
func (c *Conn) writeLoop() {
	var batch []*call
	var frames []*buffer
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.mu.Lock()
		batch = append(batch[:0], c.queue...)
		clear(c.queue)
		c.queue = c.queue[:0]
		frames = frames[:0]
		for _, cl := range batch {
			frames = append(frames, cl.frame)
			cl.frame, cl.sent = nil, true
		}
		c.mu.Unlock()
		written, err := c.write(frames)
		if err != nil {
			c.unsend(batch, frames, written)
		}
		for _, f := range frames {
			f.release()
		}
		if err != nil {
			c.fail(fmt.Errorf("writing: %w", err))
			return
		}
		clear(batch)
		clear(frames)
	}
}

func (c *Conn) write(frames []*buffer) (int64, error) {
	if len(frames) == 0 {
		return 0, nil
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout)); err != nil {
		return 0, err
	}
	if len(frames) == 1 {
		n, err := c.nc.Write(frames[0].b)
		return int64(n), err
	}
	bufs := make(net.Buffers, len(frames))
	for i, f := range frames {
		bufs[i] = f.b
	}
	return bufs.WriteTo(c.nc)
}

// unsend marks the calls of which no byte left, after a write of the batch
// failed behind so many bytes.
func (c *Conn) unsend(batch []*call, frames []*buffer, written int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, cl := range batch {
		if written <= 0 {
			cl.sent = false
		}
		written -= int64(len(frames[i].b))
	}
}

var _ io.Closer = (*Conn)(nil)
