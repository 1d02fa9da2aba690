package kudu

import (
	"context"
	"fmt"
	"iter"

	"github.com/kudu2kafka/kudu2kafka/kudu/internal/pb"
)

// RequestID names a batch of writes beyond the life of this client. A server
// that gets an id again answers as it did the first time, with the first
// timestamp, and doesn't write; it remembers for ten minutes
// (--remember_responses_ttl_ms in kudu-1.18.1 src/kudu/rpc/result_tracker.cc).
// Client must be unique to the batch: servers forget the numbers of a client
// that are below the lowest unfinished one, and a batch's id says that it is
// that.
type RequestID struct {
	Client string
	Seq    int64
}

// Written is the answer to a batch.
type Written struct {
	Timestamp Timestamp // of the batch, also when all of its rows were refused
	// Server led the tablet when it answered: it has all operations up to
	// Timestamp, whoever leads later. See ScanOptions.Server.
	Server  string
	Ignored int // rows that the Ignore operations passed over
	Refused []*RowError
}

// WriteBatch writes the operations to a tablet, in their order and at one
// timestamp, under a request id of the caller's. All rows have to be of that
// tablet; one Row may be used for all, it is copied. A batch without operations
// goes through Raft too and brings a timestamp. After an error that wraps ErrOutcomeUnknown, the same id may be
// sent again within the time that servers remember; what the operations are is
// then of no account if the first attempt was carried out.
func (t *Table) WriteBatch(ctx context.Context, tablet string, id RequestID, ops iter.Seq2[OpKind, *Row]) (Written, error) {
	const op = "writing a batch to"
	b := &batch{rows: []byte{}, indirect: []byte{}}
	for kind, row := range ops {
		if !kind.writes() {
			return Written{}, &Error{Op: op, Table: t.name, Tablet: tablet, Err: fmt.Errorf("%s is no operation on rows", kind)}
		}
		if row.layout != t.layout {
			return Written{}, &Error{Op: op, Table: t.name, Tablet: tablet, Err: errForeignRow}
		}
		if err := row.check(kind); err != nil {
			return Written{}, &Error{Op: op, Table: t.name, Tablet: tablet, Err: err}
		}
		b.starts = append(b.starts, len(b.rows))
		b.rows, b.indirect = appendOp(b.rows, b.indirect, kind, row)
	}
	resp, server, err := t.writeAs(ctx, op, tablet, &pb.RowOperationsPB{Rows: b.rows, IndirectData: b.indirect}, func(attempt int64) *pb.RequestIdPB {
		return &pb.RequestIdPB{ClientId: &id.Client, SeqNo: &id.Seq, FirstIncompleteSeqNo: &id.Seq, AttemptNo: &attempt}
	})
	if err != nil {
		return Written{}, err
	}
	if resp.GetTimestamp() == 0 {
		return Written{}, t.located(&Error{Op: op, Addr: server, Sent: true, Err: fmt.Errorf("%w: the answer has no timestamp", ErrMalformed)}, op, tablet)
	}
	m := resp.GetResourceMetrics()
	out := Written{
		Timestamp: Timestamp(resp.GetTimestamp()), Server: server,
		Ignored: int(m.GetInsertIgnoreErrors() + m.GetUpdateIgnoreErrors() + m.GetDeleteIgnoreErrors() + m.GetUpsertIgnoreErrors()),
	}
	for _, e := range resp.GetPerRowErrors() {
		out.Refused = append(out.Refused, t.rowError(tablet, b, e))
	}
	return out, nil
}
