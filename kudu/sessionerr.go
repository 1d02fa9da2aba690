package kudu

import (
	"fmt"
	"strings"
)

// Flushed tells what has become of rows that a session wrote.
type Flushed struct {
	Rows    int // written
	Ignored int // passed over by the Ignore operations
	// Timestamp is the newest of the writes, zero without any; Tablets has the
	// newest of each tablet. A snapshot above a timestamp shows its write.
	Timestamp Timestamp
	Tablets   map[string]Timestamp
}

// FlushError tells which rows a session could not write. errors.Is finds the
// conditions of all of them.
type FlushError struct {
	Rows    []*RowError   // that servers refused; the other rows were written
	Batches []*BatchError // that were not written, or not known to be
	More    int           // rows that were refused beyond SessionOptions.MaxErrors

	table string
}

func (e *FlushError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "writing to table %q:", e.table)
	if n := len(e.Rows) + e.More; n > 0 {
		fmt.Fprintf(&b, " %d rows were refused", n)
		if len(e.Rows) > 0 {
			fmt.Fprintf(&b, ", the first: %v", e.Rows[0])
		}
	}
	if len(e.Batches) > 0 {
		if len(e.Rows)+e.More > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %d batches failed, the first: %v", len(e.Batches), e.Batches[0])
	}
	return b.String()
}

// Unwrap gives all the errors.
func (e *FlushError) Unwrap() []error {
	errs := make([]error, 0, len(e.Rows)+len(e.Batches))
	for _, r := range e.Rows {
		errs = append(errs, r)
	}
	for _, b := range e.Batches {
		errs = append(errs, b)
	}
	return errs
}

// RowError is a row that a server refused.
type RowError struct {
	Table, Tablet string
	Kind          OpKind
	Key           []any  // values of the primary key; nil where the server fills them
	Code          string // such as ALREADY_PRESENT
	Err           error
}

func (e *RowError) Error() string {
	key := make([]string, len(e.Key))
	for i, v := range e.Key {
		switch x := v.(type) {
		case string:
			key[i] = fmt.Sprintf("%q", x)
		case []byte:
			key[i] = fmt.Sprintf("0x%x", x)
		default:
			key[i] = fmt.Sprint(v)
		}
	}
	return fmt.Sprintf("%s of row (%s) on tablet %s: %s: %v", e.Kind, strings.Join(key, ", "), e.Tablet, e.Code, e.Err)
}

// Unwrap gives the cause.
func (e *RowError) Unwrap() error { return e.Err }

// BatchError is a batch that was refused as a whole, or not answered; then it
// wraps ErrOutcomeUnknown.
type BatchError struct {
	Tablet string
	Rows   int
	Err    error

	layout        *rowLayout
	ops, indirect []byte
}

func (e *BatchError) Error() string { return fmt.Sprintf("batch of %d rows: %v", e.Rows, e.Err) }

// Unwrap gives the cause.
func (e *BatchError) Unwrap() error { return e.Err }

// Each gives the operations of the batch in their order, to be looked at or
// applied again. The row is valid until yield returns.
func (e *BatchError) Each(yield func(kind OpKind, row *Row) bool) {
	row := newRow(e.layout)
	for rest := e.ops; len(rest) > 0; {
		kind, next, err := decodeOp(row, rest, e.indirect)
		if err != nil || !yield(kind, row) {
			return // an error can't be: the bytes are our own
		}
		rest = next
	}
}
