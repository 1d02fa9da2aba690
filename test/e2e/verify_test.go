package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// published is a record of the topic as a consumer sees it.
type published struct {
	partition int32
	offset    int64
	key       []byte
	value     []byte
	late      bool // it has the header kudu.late
}

// endOffsets gives the ends of the topic's partitions that a read_committed
// consumer will come to.
func endOffsets(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	listed, err := kadm.NewClient(client).ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends := make(map[int32]int64)
	var failed error
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			failed = errors.Join(failed, o.Err)
		}
		ends[o.Partition] = o.Offset
	})
	return ends, failed
}

// consume reads the whole topic with read_committed, up to its present end. It
// keeps control records apart, as they tell where the end is.
func (s *stack) consume(t *testing.T, topic string) []published {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.kafka.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := endOffsets(ctx, client, topic)
	if err != nil {
		t.Fatalf("listing the end of %s: %v", topic, err)
	}
	for p, end := range ends {
		if end == 0 {
			delete(ends, p)
		}
	}
	var out []published
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consuming %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				late := slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "kudu.late" })
				out = append(out, published{r.Partition, r.Offset, bytes.Clone(r.Key), bytes.Clone(r.Value), late})
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
	}
	return out
}

// awaitRecords waits until a read_committed consumer could read so many
// records of the topic in all, and reports how many it counted. Each look reads
// only what is new.
func (s *stack) awaitRecords(t *testing.T, topic string, n int, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.kafka.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.UnknownTopicRetries(-1), kgo.MetadataMinAge(100*time.Millisecond), // the topic may be about to come
		kgo.FetchMaxWait(100*time.Millisecond), // the broker doesn't always answer a fetch when a transaction ends
	)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for got := 0; got < n; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("topic %s has %d of %d records after %v", topic, got, n, within)
		}
		got += fetches.NumRecords()
	}
}

// verify compares the topic with the table, as the official Java client reads
// it: each row once, equal in every column, and in primary key order within
// each tablet. The key columns name the row. It returns the records.
func (s *stack) verify(t *testing.T, j *job, keyColumns ...string) []published {
	t.Helper()
	return s.verifyRows(t, j, keyColumns, func(rows []*tableRow) {
		for i, r := range rows {
			r.order = i // as they were read
		}
	})
}

// verifyOrder is verify for another order than that of the primary key; nil is
// none.
func (s *stack) verifyOrder(t *testing.T, j *job, compare func(a, b map[string]any) int, keyColumns ...string) []published {
	t.Helper()
	return s.verifyRows(t, j, keyColumns, func(rows []*tableRow) {
		if compare == nil {
			return // all alike
		}
		slices.SortFunc(rows, func(a, b *tableRow) int { return compare(a.cells, b.cells) })
		for i, r := range rows {
			r.order = i
		}
	})
}

// tableRow is a row as it should be published.
type tableRow struct {
	tablet int
	order  int // its place within its tablet
	cells  map[string]any
	hidden bool // it must not be published
	seen   bool
}

func (s *stack) verifyRows(t *testing.T, j *job, keyColumns []string, rank func([]*tableRow)) []published {
	t.Helper()
	rows := make(map[string]*tableRow)
	var all []*tableRow
	tablets := make(map[string]int)
	if _, err := s.tool.Read(t.Context(), testenv.ReadOptions{Table: j.table}, func(r testenv.ReadRow) error {
		cells, err := r.Cells()
		if err != nil {
			return err
		}
		if _, ok := tablets[r.Tablet]; !ok {
			tablets[r.Tablet] = len(tablets)
		}
		row := &tableRow{tablet: tablets[r.Tablet], cells: cells}
		rows[rowName(cells, keyColumns)] = row
		all = append(all, row)
		return nil
	}); err != nil {
		t.Fatalf("reading the table with the Java client: %v", err)
	}
	rank(all)

	// Within a tablet, the records of one topic partition have rising places in
	// the table. (Across partitions Kafka has no order.)
	type lane struct {
		tablet    int
		partition int32
	}
	last := make(map[lane]int)
	faults := 0
	fault := func(format string, args ...any) {
		if faults++; faults <= 10 {
			t.Errorf(format, args...)
		}
	}
	records := s.consume(t, j.topic)
	for _, p := range records {
		cells, err := decodeRecord(p.value)
		if err != nil {
			t.Fatalf("record %d/%d: %v", p.partition, p.offset, err)
		}
		name := rowName(cells, keyColumns)
		r := rows[name]
		switch {
		case r == nil:
			fault("record %d/%d holds row %s, which the table doesn't have", p.partition, p.offset, name)
			continue
		case r.hidden:
			fault("record %d/%d holds row %s, which isn't to be published", p.partition, p.offset, name)
		case r.seen:
			fault("row %s is published twice, again at %d/%d", name, p.partition, p.offset)
		}
		r.seen = true
		for column, want := range r.cells {
			if got, ok := cells[column]; !ok || !sameCell(got, want) {
				fault("row %s column %s: published %v, the table has %v", name, column, got, want)
			}
		}
		if len(cells) != len(r.cells) {
			fault("row %s: published %d columns, the table has %d", name, len(cells), len(r.cells))
		}
		l := lane{r.tablet, p.partition}
		if r.order < last[l] {
			fault("row %s comes at %d/%d behind a later row of its tablet", name, p.partition, p.offset)
		}
		last[l] = r.order
	}
	missing := 0
	for name, r := range rows {
		if !r.seen && !r.hidden {
			if missing++; missing <= 5 {
				t.Errorf("row %s was not published", name)
			}
		}
	}
	if faults > 0 || missing > 0 {
		t.Errorf("%d faults, %d of %d rows missing", faults, missing, len(rows))
	}
	return records
}

func rowName(cells map[string]any, keys []string) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "%s=%v ", k, cells[k])
	}
	return b.String()
}

func decodeRecord(value []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var cells map[string]any
	err := d.Decode(&cells)
	return cells, err
}

// sameCell compares a published JSON value with a cell of the oracle. Floats
// must have the same bits, but for the payload of a NaN.
func sameCell(got, want any) bool {
	switch w := want.(type) {
	case float32:
		f, ok := floatOf(got, 32)
		return ok && (math.Float32bits(float32(f)) == math.Float32bits(w) || f != f && w != w)
	case float64:
		f, ok := floatOf(got, 64)
		return ok && (math.Float64bits(f) == math.Float64bits(w) || f != f && w != w)
	}
	return got == want
}

func floatOf(v any, bits int) (float64, bool) {
	switch s := v.(type) {
	case json.Number:
		f, err := parseFloat(string(s), bits)
		return f, err == nil
	case string:
		switch s {
		case "NaN":
			return math.NaN(), true
		case "Infinity":
			return math.Inf(1), true
		case "-Infinity":
			return math.Inf(-1), true
		}
	}
	return 0, false
}
