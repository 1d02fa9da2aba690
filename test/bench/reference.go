package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// reference is what a table's rows look like as records, and where each tablet
// ends.
type reference struct {
	table string
	rows  int64
	bytes int64
	// flat holds the bytes of all keys and values, one behind the other; cuts
	// their ends. No pointers: the collector has nothing to do with it while the
	// bare producer is measured.
	flat []byte
	cuts []uint32 // relative to the record's chunk
	// chunks are where each chunkRecords records begin in flat.
	chunks []uint64
	// last is each tablet's last primary key, rendered as a position holds it.
	last map[string]string
}

func (r *reference) record(i int) (key, value []byte) {
	from := uint32(0)
	base := r.base(i)
	if i%chunkRecords != 0 {
		from = r.cuts[2*i-1]
	}
	return r.flat[base+uint64(from) : base+uint64(r.cuts[2*i])], r.flat[base+uint64(r.cuts[2*i]) : base+uint64(r.cuts[2*i+1])]
}

// Cuts are relative to the start of a chunk, so that they fit 32 bits.
const chunkRecords = 1 << 16

func (r *reference) base(i int) uint64 { return r.chunks[i/chunkRecords] }

// reference reads the table once with our client and encodes it.
func (b *bench) reference(ctx context.Context, table string) (*reference, error) {
	c, err := kudu.New(kudu.Config{Masters: b.kudu.Masters()})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	t, err := c.OpenTable(ctx, table)
	if err != nil {
		return nil, err
	}
	schema := t.Schema()
	var names []string
	var keyPlaces []int
	for i := range schema.NumColumns() {
		names = append(names, schema.Column(i).Name)
		if i < schema.NumKeys() {
			keyPlaces = append(keyPlaces, i)
		}
	}
	proj, err := schema.Project(names...)
	if err != nil {
		return nil, err
	}
	enc, err := serde.NewEncoder(proj, schema.KeyNames(), names, serde.Default())
	if err != nil {
		return nil, err
	}
	tablets, err := t.Tablets(ctx)
	if err != nil {
		return nil, err
	}
	r := &reference{table: table, last: make(map[string]string)}
	for _, tablet := range tablets {
		sc, err := t.Scan(tablet.ID, kudu.ScanOptions{Ordered: true, BatchBytes: 4 << 20})
		if err != nil {
			return nil, err
		}
		last, err := r.take(ctx, sc, enc, keyPlaces)
		sc.Close()
		if err != nil {
			return nil, err
		}
		if last == nil {
			continue
		}
		values, err := schema.DecodePrimaryKey(last)
		if err != nil {
			return nil, err
		}
		text, err := serde.MarshalValues(schema.Columns()[:schema.NumKeys()], values)
		if err != nil {
			return nil, err
		}
		r.last[tablet.ID] = string(text)
	}
	r.bytes = int64(len(r.flat))
	return r, nil
}

func (r *reference) take(ctx context.Context, sc *kudu.Scanner, enc serde.Encoder, keyPlaces []int) (last []byte, err error) {
	for {
		rows, err := sc.Next(ctx)
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range rows.NumRows() {
			if r.rows%chunkRecords == 0 {
				r.chunks = append(r.chunks, uint64(len(r.flat)))
			}
			base := r.base(int(r.rows))
			if r.flat, err = enc.AppendKey(r.flat, rows, i); err != nil {
				return nil, err
			}
			r.cuts = append(r.cuts, uint32(uint64(len(r.flat))-base))
			if r.flat, err = enc.AppendValue(r.flat, rows, i); err != nil {
				return nil, err
			}
			r.cuts = append(r.cuts, uint32(uint64(len(r.flat))-base))
			r.rows++
		}
		last = kudu.AppendKey(last[:0], rows, keyPlaces, rows.NumRows()-1)
	}
}

// reached reports whether a stored position is the tablet's last row.
func (r *reference) reached(tablet string, primaryKey json.RawMessage) bool {
	want, ok := r.last[tablet]
	return ok && want == string(primaryKey)
}
