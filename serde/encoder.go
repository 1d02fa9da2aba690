package serde

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// Encoder writes rows of batches as record keys and values. An Encoder is
// for one goroutine; each task has its own.
//
// Both methods append to dst and return the longer slice. After an error they
// return dst as it was; a *CellError then says that this row can't be written,
// while other rows of the batch may well be; any other error concerns the
// whole batch.
type Encoder interface {
	// AppendKey appends the key of the row. Without key columns it appends
	// nothing.
	AppendKey(dst []byte, b *kudu.RowBatch, row int) ([]byte, error)
	// AppendValue appends the value of the row.
	AppendValue(dst []byte, b *kudu.RowBatch, row int) ([]byte, error)
}

// The values of Options.Converter, DecimalHandling and TimePrecision.
const (
	ConverterJSON = "json"

	DecimalString  = "string"
	DecimalPrecise = "precise"
	DecimalDouble  = "double"

	TimeISOString    = "isostring"
	TimeMicroseconds = "microseconds"
	TimeConnect      = "connect"
)

// Options chooses how cells are written. Use Default and change what differs:
// the zero value is not valid.
type Options struct {
	// Converter is the format of keys and values: json.
	Converter string
	// DecimalHandling is decimal.handling.mode: string, precise or double.
	DecimalHandling string
	// TimePrecision is time.precision.mode: isostring, microseconds or connect.
	TimePrecision string
}

// Default gives the options of a connector that sets none.
func Default() Options {
	return Options{Converter: ConverterJSON, DecimalHandling: DecimalString, TimePrecision: TimeISOString}
}

// Validate reports every option that isn't one of the known words, by the key
// it has in a connector's YAML.
func (o Options) Validate() error {
	return errors.Join(
		oneOf("value.converter", o.Converter, ConverterJSON),
		oneOf("decimal.handling.mode", o.DecimalHandling, DecimalString, DecimalPrecise, DecimalDouble),
		oneOf("time.precision.mode", o.TimePrecision, TimeISOString, TimeMicroseconds, TimeConnect),
	)
}

func oneOf(key, got string, known ...string) error {
	if slices.Contains(known, got) {
		return nil
	}
	return fmt.Errorf("%s: %q is unknown: use %s", key, got, strings.Join(known, ", "))
}

// CellError says that a row can't be written because of one cell of it. The
// cell's content is not part of the message.
type CellError struct {
	Column string // name of the column
	Row    int    // index of the row in its batch
	Reason string // what is wrong, and what would help
}

func (e *CellError) Error() string {
	return fmt.Sprintf("encoding column %q of row %d: %s", e.Column, e.Row, e.Reason)
}

// NewEncoder makes an encoder for batches of the projection. Keys and values
// hold the named columns, in the order given; a column may be in both, or in
// neither. Faults of the options and of all the columns are reported at once.
func NewEncoder(projection *kudu.Schema, keyColumns, valueColumns []string, o Options) (Encoder, error) {
	fields := make([]Field, len(valueColumns))
	for i, name := range valueColumns {
		fields[i] = Field{Column: name, Name: name}
	}
	return NewFieldEncoder(projection, keyColumns, fields, o)
}

// Field is a column of a value and the name it has there.
type Field struct{ Column, Name string }

// NewFieldEncoder is NewEncoder for values whose members have names of their
// own. A column may be given more than once, a name may not.
func NewFieldEncoder(projection *kudu.Schema, keyColumns []string, fields []Field, o Options) (Encoder, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if projection == nil {
		return nil, errors.New("making an encoder: no projection")
	}
	keys := make([]Field, len(keyColumns))
	for i, name := range keyColumns {
		keys[i] = Field{Column: name, Name: name}
	}
	key, keyErr := pickColumns(projection, "key", keys)
	value, valueErr := pickColumns(projection, "value", fields)
	if err := errors.Join(keyErr, valueErr); err != nil {
		return nil, err
	}
	return newJSONEncoder(projection, key, value, o), nil
}

// placed is a column's place in the projection and the name it is written by.
type placed struct {
	at   int
	name string
}

// pickColumns finds the fields' places in the projection.
func pickColumns(projection *kudu.Schema, part string, fields []Field) ([]placed, error) {
	var errs []error
	picked := make([]placed, 0, len(fields))
	for i, f := range fields {
		at, name := projection.Index(f.Column), f.Name
		switch {
		case slices.ContainsFunc(fields[:i], func(o Field) bool { return o.Name == name }):
			errs = append(errs, fmt.Errorf("%s column %q is listed twice", part, name))
		case at < 0:
			errs = append(errs, fmt.Errorf("%s column %q is not in the projection", part, f.Column))
		case !projection.Column(at).Type.Known():
			errs = append(errs, fmt.Errorf("%s column %q: %s columns can't be written", part, name, projection.Column(at).Type))
		case !utf8.ValidString(name):
			errs = append(errs, fmt.Errorf("%s column %q: the name is not UTF-8", part, name))
		}
		picked = append(picked, placed{at, name})
	}
	return picked, errors.Join(errs...)
}
