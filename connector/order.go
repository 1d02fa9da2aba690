package connector

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// order is the total order of a connector's rows: by the streaming key, and
// among equal ones by the primary key. Each row has an order key, bytes that
// compare as the rows do; a compound bound on them is lexicographic and exact
// by construction.
type order struct {
	streaming []kudu.Column
	primary   []kudu.Column
	// prefix says that the streaming key is a prefix of the primary key. Then the
	// order key is the encoded primary key, by which Kudu itself orders.
	prefix bool
	// columns are those of the order key: the primary key's, or without prefix
	// the streaming key's and the primary key's.
	columns []kudu.Column
	places  []int // of columns within the projection
	// ids are those of the streaming key's columns that aren't in the primary key, by
	// name; nil when all are.
	ids    map[string]int32
	schema *kudu.Schema
	// primaryPlaces are those of the primary key in a projection of it alone.
	primaryPlaces []int
}

// newOrder makes the order of the streaming key; the projection must hold its
// columns and the primary key's.
func newOrder(streaming []string, schema *kudu.Schema, projection []string) (*order, error) {
	o := &order{primary: schema.Columns()[:schema.NumKeys()], schema: schema}
	for _, name := range streaming {
		place := schema.Index(name)
		if place < 0 {
			return nil, noColumn(name, schema)
		}
		col := schema.Column(place)
		switch {
		case col.Nullable:
			return nil, fmt.Errorf("column %q can be NULL, which has no place in an order: choose a column that is NOT NULL", name)
		case !col.Type.Known():
			return nil, fmt.Errorf("column %q is a %s, which has no order", name, col.TypeString())
		case slices.ContainsFunc(o.streaming, func(c kudu.Column) bool { return c.Name == name }):
			return nil, fmt.Errorf("column %q is named twice", name)
		}
		o.streaming = append(o.streaming, *col)
		if !col.Key && col.ID != 0 {
			if o.ids == nil {
				o.ids = make(map[string]int32)
			}
			o.ids[name] = col.ID
		}
	}
	o.prefix = len(o.streaming) <= len(o.primary)
	for i := range o.streaming {
		if o.prefix && o.streaming[i].Name != o.primary[i].Name {
			o.prefix = false
		}
	}
	o.columns = o.primary
	if !o.prefix {
		o.columns = append(slices.Clone(o.streaming), o.primary...)
	}
	for _, c := range o.columns {
		o.places = append(o.places, slices.Index(projection, c.Name))
	}
	for i := range o.primary {
		o.primaryPlaces = append(o.primaryPlaces, i)
	}
	return o, nil
}

// behind is the least primary key that is greater than an encoded one; nil when
// it isn't easily told, as with the greatest value of the last column.
func (o *order) behind(key []byte) []byte {
	last := o.primary[len(o.primary)-1].Type
	next := slices.Clone(key)
	if last.VarLen() {
		return append(next, 0)
	}
	for i := len(next) - 1; i >= len(next)-last.Size(); i-- {
		if next[i]++; next[i] != 0 {
			return next
		}
	}
	return nil
}

// appendKey appends a row's order key.
func (o *order) appendKey(dst []byte, rows *kudu.RowBatch, row int) []byte {
	if dst == nil {
		dst = []byte{} // the key of an empty string has no bytes, but isn't nil
	}
	return kudu.AppendKey(dst, rows, o.places, row)
}

// primaryKey is a row's encoded primary key.
func (o *order) primaryKey(rows *kudu.RowBatch, row int) []byte {
	return kudu.AppendKey([]byte{}, rows, o.places[len(o.places)-len(o.primary):], row) // not nil, as in appendKey
}

// placesIn are those of the order's columns in a projection.
func (o *order) placesIn(projection []string) []int {
	places := make([]int, len(o.columns))
	for i, c := range o.columns {
		places[i] = indexOf(projection, c.Name)
	}
	return places
}

// split gives the values of the streaming key and of the primary key.
func (o *order) split(key []byte) (streaming, primary []any, err error) {
	values, err := kudu.DecodeKey(o.columns, key)
	if err != nil {
		return nil, nil, err
	}
	if o.prefix {
		return values[:len(o.streaming)], values, nil
	}
	return values[:len(o.streaming)], values[len(o.streaming):], nil
}

// store writes an order key into a position, for people to read.
func (o *order) store(pos *offsets.Position, key []byte) error {
	streaming, primary, err := o.split(key)
	if err != nil {
		return fmt.Errorf("rendering a position: %w", err)
	}
	if pos.Key, err = serde.MarshalValues(o.streaming, streaming); err != nil {
		return fmt.Errorf("rendering a position: %w", err)
	}
	if pos.PrimaryKey, err = serde.MarshalValues(o.primary, primary); err != nil {
		return fmt.Errorf("rendering a position: %w", err)
	}
	return nil
}

// restore reads the order key back. A position that doesn't fit the table is
// fatal: somebody patched it, or the table is another one.
func (o *order) restore(pos offsets.Position) ([]byte, error) {
	primary, err := restoreValues(o.primary, pos.PrimaryKey, false)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("its primary_key doesn't fit the table: %w", err)}
	}
	certain, err := o.sameColumns(pos.Key, pos.PrimaryKey, pos.Columns)
	if err != nil {
		return nil, err
	}
	streaming, err := restoreValues(o.streaming, pos.Key, certain)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("its key doesn't fit the streaming key: %w", err)}
	}
	if !o.prefix {
		return fatalKey(kudu.EncodeKey(o.columns, append(streaming, primary...)))
	}
	a, err := kudu.EncodeKey(o.streaming, streaming)
	if err != nil {
		return nil, &FatalError{err}
	}
	b, err := kudu.EncodeKey(o.streaming, primary[:len(streaming)])
	if err != nil {
		return nil, &FatalError{err}
	}
	if string(a) != string(b) {
		return nil, &FatalError{fmt.Errorf("its key %s and its primary_key %s disagree: patch both alike", pos.Key, pos.PrimaryKey)}
	}
	return fatalKey(kudu.EncodeKey(o.primary, primary))
}

func fatalKey(key []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, &FatalError{err}
	}
	if key == nil {
		key = []byte{} // of an empty string; nil is before all rows
	}
	return key, nil
}

// sameColumns refuses a stored object of the streaming key, or of its first columns,
// when it is known to hold values of other columns than those that are at its places
// now: names can go from one column to another. A column of the primary key is known
// by its place there, any other by the id that was stored; what has no id, as in
// positions of version 1, is taken by name or place (see restoreValues). Certain says
// that all are known, whatever they are called. The primary key may be nil.
func (o *order) sameColumns(stored, primary json.RawMessage, ids map[string]int32) (certain bool, err error) {
	within := memberNames(primary)
	certain = true
	for i, name := range memberNames(stored) {
		if i == len(o.streaming) {
			break
		}
		now := &o.streaming[i]
		place := slices.Index(within, name)
		id, known := ids[name]
		switch {
		case place >= 0 && place < len(o.primary) && o.primary[place].Name != now.Name:
			return false, o.otherColumn(stored, name, &o.primary[place], now)
		case known && id != now.ID:
			return false, o.otherColumn(stored, name, o.columnOf(id), now)
		}
		certain = certain && (known || place >= 0)
	}
	return certain, nil
}

// otherColumn is the failure of a stored object whose member is a value of column
// was, nil if that was dropped, where column now is.
func (o *order) otherColumn(stored json.RawMessage, member string, was, now *kudu.Column) error {
	of := "of a column that was dropped"
	if was != nil {
		of = fmt.Sprintf("of the column that is called %q now", was.Name)
	}
	return &FatalError{fmt.Errorf("the member %q of %s is a value %s, but the streaming key has column %q there: if columns were renamed, give them their former names back, or name the same columns in streaming.key; if you mean another order, reset the connector's offsets", member, stored, of, now.Name)}
}

// columnOf is the column with an id; nil without.
func (o *order) columnOf(id int32) *kudu.Column {
	for i := range o.schema.NumColumns() {
		if c := o.schema.Column(i); c.ID == id {
			return c
		}
	}
	return nil
}

// memberNames are those of a JSON object, in their order, up to where it can't be
// read.
func memberNames(object json.RawMessage) []string {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var all []string
	for d.More() {
		token, err := d.Token()
		name, is := token.(string)
		if err != nil || !is {
			return all
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return all
		}
		all = append(all, name)
	}
	return all
}

// restoreValues reads a stored object of columns back. Its members are in the
// order of the columns, and a table's key columns can be renamed but not moved, so
// members with names that the columns don't have are taken by their place.
//
// Known names in other places are refused. Either somebody has patched the object,
// or the streaming key was put in another order, or columns have exchanged their
// names: taken by their names the values would be those of other columns. Unless it
// is certain that the columns are those at the members' places.
func restoreValues(cols []kudu.Column, stored json.RawMessage, certain bool) ([]any, error) {
	named, moved := renamed(stored, cols, certain)
	if moved != "" {
		return nil, fmt.Errorf("the member %q of %s is in another place than the column of its name: the columns are, in their order, %v; if they were renamed, give them their former names back, else write the members in this order", moved, stored, names(cols))
	}
	return serde.UnmarshalValues(cols, named)
}

// renamed gives the members of a stored object the names that the columns have
// now, or unless the places are certain tells one that has the name of a column in
// another place. What doesn't fit is returned as it is, for the decoder to refuse.
func renamed(stored json.RawMessage, cols []kudu.Column, certain bool) (now json.RawMessage, moved string) {
	d := json.NewDecoder(bytes.NewReader(stored))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return stored, ""
	}
	out, same := []byte{'{'}, true
	n := 0
	for ; d.More() && n < len(cols); n++ {
		token, err := d.Token()
		if err != nil {
			return stored, ""
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return stored, ""
		}
		to, err := json.Marshal(cols[n].Name)
		if err != nil {
			return stored, ""
		}
		name, _ := token.(string) // as all members have
		if name != cols[n].Name {
			same = false
			if !certain && slices.ContainsFunc(cols, func(c kudu.Column) bool { return c.Name == name }) {
				return stored, name
			}
		}
		if n > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, to...), ':'), value...)
	}
	if same || n != len(cols) || d.More() {
		return stored, ""
	}
	return append(out, '}'), ""
}

// bound is the order key at which the rows begin whose streaming key is at
// least these values, of its first columns: what follows is filled with the
// least value of each type.
func (o *order) bound(values []any) ([]byte, error) {
	filled := slices.Clone(values)
	for _, c := range o.columns[len(values):] {
		filled = append(filled, kudu.MinValue(c))
	}
	return kudu.EncodeKey(o.columns, filled)
}
