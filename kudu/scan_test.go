package kudu

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestScanOptionsGetTheirDefaults(t *testing.T) {
	for _, c := range []struct {
		in, want ScanOptions
	}{
		{ScanOptions{}, ScanOptions{Mode: ReadLatest, BatchBytes: 1 << 20}},
		{ScanOptions{Ordered: true}, ScanOptions{Ordered: true, Mode: ReadAtSnapshot, BatchBytes: 1 << 20}},
		{ScanOptions{Snapshot: 9}, ScanOptions{Snapshot: 9, Mode: ReadAtSnapshot, BatchBytes: 1 << 20}},
		{ScanOptions{Mode: ReadYourWrites, BatchBytes: 1}, ScanOptions{Mode: ReadYourWrites, BatchBytes: 1}},
		{ScanOptions{BatchBytes: 1 << 30}, ScanOptions{Mode: ReadLatest, BatchBytes: 8 << 20}},
	} {
		got, err := c.in.normalize()
		if err != nil {
			t.Errorf("%+v: %v", c.in, err)
			continue
		}
		if got.Mode != c.want.Mode || got.BatchBytes != c.want.BatchBytes || got.Ordered != c.want.Ordered || got.Snapshot != c.want.Snapshot {
			t.Errorf("%+v becomes %+v, want %+v", c.in, got, c.want)
		}
	}
}

func TestContradictoryScanOptionsAreRefused(t *testing.T) {
	for want, o := range map[string]ScanOptions{
		"ordered scan must":  {Ordered: true, Mode: ReadLatest},
		"needs the mode":     {Snapshot: 1, Mode: ReadYourWrites},
		"needs an ordered":   {After: []byte{}},
		"BatchBytes is nega": {BatchBytes: -1},
	} {
		if _, err := o.normalize(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", o, err, want)
		}
	}
}

func TestScanRequestsNameOneLowerBound(t *testing.T) {
	low, high := []byte{1}, []byte{2}
	for _, c := range []struct {
		name             string
		from, after, key []byte // key is where a broken scan stood
		start, last      []byte
	}{
		{"no bound", nil, nil, nil, nil, nil},
		{"from", low, nil, nil, low, nil},
		{"after", nil, low, nil, nil, low},
		{"after beyond from", low, high, nil, nil, high},
		{"from beyond after", high, low, nil, high, nil},
		{"after equal to from", low, low, nil, nil, low},
		{"resumed", nil, low, high, nil, high},
		{"resumed from", low, nil, high, nil, high},
		{"after an empty key", nil, []byte{}, nil, nil, []byte{}},
	} {
		o := ScanOptions{Ordered: true, From: c.from, After: c.after}
		req := o.openRequest("t", mustSchema(t), resumePoint{lastKey: c.key})
		if !bytes.Equal(req.StartPrimaryKey, c.start) || !bytes.Equal(req.LastPrimaryKey, c.last) || (req.LastPrimaryKey == nil) != (c.last == nil) {
			t.Errorf("%s: starts at %x, last is %x", c.name, req.StartPrimaryKey, req.LastPrimaryKey)
		}
	}
}

func TestScanRequestsCarryTheOptions(t *testing.T) {
	o := ScanOptions{Ordered: true, Mode: ReadAtSnapshot, To: []byte{9}, Limit: 10, NoCache: true}
	req := o.openRequest("tablet", ordersSchema(t), resumePoint{snapshot: 77, rows: 4})
	if string(req.TabletId) != "tablet" || len(req.ProjectedColumns) != 4 || req.GetOrderMode() != orderOrdered ||
		req.GetReadMode() != int32(ReadAtSnapshot) || req.GetSnapTimestamp() != 77 || req.GetLimit() != 6 ||
		req.GetCacheBlocks() || string(req.StopPrimaryKey) != "\x09" || req.GetRowFormatFlags() != rowFormatColumnar {
		t.Errorf("%v", req)
	}
	o = ScanOptions{Mode: ReadLatest}
	req = o.openRequest("tablet", ordersSchema(t), resumePoint{})
	if req.SnapTimestamp != nil || req.Limit != nil || !req.GetCacheBlocks() || req.GetOrderMode() != orderUnordered {
		t.Errorf("%v", req)
	}
}

func TestOnlyTheGreatestKeyEndsAScanWithoutAsking(t *testing.T) {
	key := func(types ...DataType) *Schema {
		var cols []Column
		for i, typ := range types {
			cols = append(cols, Column{Name: string(rune('a' + i)), Type: typ, Key: true})
		}
		return mustSchema(t, cols...)
	}
	for _, c := range []struct {
		schema *Schema
		values []any
		want   bool
	}{
		{key(Int8), []any{math.MaxInt8}, true},
		{key(Int32, Int64), []any{math.MaxInt32, math.MaxInt64}, true},
		// Encoded, these consist of bytes from 0x80 on, which aren't UTF-8.
		{key(Int8), []any{0}, false},
		{key(Int8), []any{126}, false},
		{key(Int16), []any{0x0080}, false},
		{key(Int64), []any{0x7ffffffffffffffe}, false},
		{key(Int32, Int8), []any{math.MaxInt32, 0}, false},
		{key(Binary), []any{"\xff\xff"}, false},
		{key(String), []any{""}, false},
	} {
		after, err := c.schema.EncodePrimaryKey(c.values...)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []ScanOptions{{Ordered: true, After: after}, {Ordered: true}} {
			if got := o.exhausted(c.schema, resumePoint{lastKey: after}); got != c.want {
				t.Errorf("behind %v (%x): exhausted is %v", c.values, after, got)
			}
		}
	}
}
