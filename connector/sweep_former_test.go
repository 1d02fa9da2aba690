package connector

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
	"github.com/kudu2kafka/kudu2kafka/serde"
)

// Digests are stored: they never change.
func TestDigestsStayTheSame(t *testing.T) {
	schema, err := kudu.NewSchema([]kudu.Column{
		{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true},
		{Name: "truth", Type: kudu.Bool}, {Name: "half", Type: kudu.Float}, {Name: "whole", Type: kudu.Double, Nullable: true},
		{Name: "small", Type: kudu.Int8},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := kudu.NewBatchBuilder(schema)
	for _, row := range [][]any{
		{int64(7), "seven", true, float32(1.5), -2.25, int8(-1)},
		{int64(-7), nil, false, float32(0), nil, int8(1)},
	} {
		if err := b.Append(row...); err != nil {
			t.Fatal(err)
		}
	}
	for hash, want := range map[string][2]string{
		offsets.HashXX64:   {"4e1a90154f45e6be", "cf4ec113140ea99c"},
		offsets.HashSHA256: {"b20de7e3d6a94264", "fe3dfcb0154a53b6"},
	} {
		d, err := newDigester(hash, digestColumns(schema), schema)
		if err != nil {
			t.Fatal(err)
		}
		for row, want := range want {
			digest := d.of(b.Batch(), row)
			if got := hex.EncodeToString(digest[:]); got != want {
				t.Errorf("%s of row %d is %s, want %s", hash, row, got, want)
			}
		}
	}
}

func TestJournalOfAnEarlierFormatIsFinished(t *testing.T) {
	for _, version := range []int{1, 2, 3} {
		for action, set := range map[string]map[string]string{sweepDelete: nil, sweepUpdate: {"status": "DONE"}} {
			t.Run(fmt.Sprintf("%d %s", version, action), func(t *testing.T) {
				b := newSweepBench(t, 1)
				b.cfg.SweepAction, b.cfg.SweepSet = action, set
				b.add(12, past())
				b.crashBeforeSweep()
				b.formerJournals(version)
				b.drain() // until they are swept
				if got := len(b.published()); got != 12 {
					t.Errorf("%d records, want 12", got)
				}
			})
		}
	}
}

// formerJournals has the journals that are stored be those of an earlier version.
func (b *sweepBench) formerJournals(version int) {
	b.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	for key, j := range b.stored() {
		k, err := key.AppendJSON(nil)
		if err != nil {
			b.t.Fatal(err)
		}
		r := &kgo.Record{Topic: offsetsTopic, Partition: 1, Key: k, Value: b.former(version, j)}
		if got, err := offsets.ParseJournal(r.Value); err != nil || got.NumRows() != j.NumRows() || got.Hash != offsets.HashSHA256 {
			b.t.Fatalf("the journal %s is read as %+v (%v)", r.Value, got, err)
		}
		if err := client.ProduceSync(b.t.Context(), r).FirstErr(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// What Kudu refuses of such a journal is written as this release writes it, and is known
// by its digest.
func TestRefusedRowsOfAnEarlierJournalAreNotPublishedAgain(t *testing.T) {
	b := newSweepBench(t, 1)
	b.add(12, past())
	b.crashBeforeSweep()
	b.formerJournals(3)
	remove := b.kudu.Control("Write", func(c *kudufake.Call) kudufake.Decision {
		if c.Barrier() {
			return kudufake.Decision{}
		}
		return kudufake.Decision{RefuseRow: func(row int) bool { return row == 0 }}
	})
	if err := b.run(t.Context(), nil); !fatal(err) || !strings.Contains(err.Error(), "Kudu refuses 1 of them") {
		t.Errorf("the run ends with %v", err)
	}
	again := 0
	for _, j := range b.stored() {
		if j.NumRows() == 1 && j.Hash == offsets.HashSHA256 {
			again++
		}
	}
	if again == 0 {
		t.Errorf("no refused row is in a journal of its own: %+v", b.stored())
	}
	remove()
	b.drain()
	b.verify()
	if got := len(b.published()); got != 12 {
		t.Errorf("%d records, want 12", got)
	}
}

// former is a journal as releases before wrote it: up to version 2 with the rows one
// by one, with a set from version 2 on, and with 16 bytes of the SHA-256 of each row.
func (b *sweepBench) former(version int, j offsets.Journal) []byte {
	b.t.Helper()
	primary := []kudu.Column{{Name: "due", Type: kudu.UnixtimeMicros, Key: true}, {Name: "id", Type: kudu.Int64, Key: true}}
	sums := make(map[string][]byte) // by primary key
	b.eachRow(func(_ string, rows *kudu.RowBatch, i int) {
		d, err := newDigester(offsets.HashSHA256, j.Columns, rows.Schema())
		if err != nil {
			b.t.Fatal(err)
		}
		d.of(rows, i)
		sum := sha256.Sum256(d.buf)
		sums[string(kudu.AppendKey(nil, rows, []int{rows.Schema().Index("due"), rows.Schema().Index("id")}, i))] = sum[:16]
	})
	members := map[string]any{
		"version": version, "table_id": j.TableID, "snapshot": fmt.Sprint(j.Snapshot), "action": j.Action,
		"request": map[string]any{"client": j.Request.Client, "seq": j.Request.Seq}, "columns": j.Columns,
	}
	if version > 1 && j.Set != nil {
		members["set"] = j.Set
	}
	var listed []map[string]any
	var packed []byte
	if err := j.Rows.Each(func(key []byte, _ offsets.Digest) error {
		values, err := kudu.DecodeKey(primary, key)
		if err != nil {
			return err
		}
		text, err := serde.MarshalValues(primary, values)
		listed = append(listed, map[string]any{"primary_key": json.RawMessage(text), "digest": base64.RawStdEncoding.EncodeToString(sums[string(key)])})
		packed = binary.AppendUvarint(append(packed, 0), uint64(len(key)))
		packed = append(append(packed, key...), sums[string(key)]...)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	members["rows"] = listed
	if version == 3 {
		members["count"], members["rows"] = j.Rows.Len(), base64.RawStdEncoding.EncodeToString(packed)
	}
	text, err := json.Marshal(members)
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}
