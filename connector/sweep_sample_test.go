package connector

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/predicate"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestLargeBacklogIsPublishedInItsOrderByTheHeadAlone(t *testing.T) {
	for _, order := range []string{"payload", "payload DESC", "priority DESC, payload", "priority, payload DESC", "due DESC"} {
		t.Run(order, func(t *testing.T) {
			b := newSweepBench(t, 1)
			b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = []string{order}, 60
			b.add(1500, past())
			tablets := make(map[int64]string)
			b.eachRow(func(tablet string, rows *kudu.RowBatch, i int) { tablets[rows.Column(1).Int64(i)] = tablet })
			b.drain()
			b.verify()
			last := make(map[string]sweepRecord)
			for _, r := range b.published() {
				l, some := last[tablets[r.ID]]
				if some && compareRecords(order, l, r) > 0 {
					t.Fatalf("%+v comes behind %+v", r, l)
				}
				last[tablets[r.ID]] = r
			}
		})
	}
}

func compareRecords(order string, a, b sweepRecord) int {
	switch order {
	case "payload":
		return cmp.Compare(a.Payload, b.Payload)
	case "payload DESC":
		return cmp.Compare(b.Payload, a.Payload)
	case "priority DESC, payload":
		return cmp.Or(cmp.Compare(b.ID%7, a.ID%7), cmp.Compare(a.Payload, b.Payload))
	case "priority, payload DESC":
		return cmp.Or(cmp.Compare(a.ID%7, b.ID%7), cmp.Compare(b.Payload, a.Payload))
	}
	return cmp.Compare(b.Due, a.Due)
}

// Rows that come before those of the sample make the bound too far, rows that go
// make it too near: either way the first rows are taken.
func TestRowsThatComeWhileABacklogIsTakenAreTakenInOrder(t *testing.T) {
	b := newSweepBench(t, 1)
	b.cfg.SweepOrderBy, b.cfg.SweepBatchRows = []string{"priority DESC", "due"}, 40
	b.add(1200, past())
	inserted := 0
	b.cfg.SweepInterval = 20 * time.Millisecond
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; inserted < 300; inserted++ {
			select {
			case <-stop:
				return
			default:
				b.disturb()
			}
		}
	}()
	b.drain()
	close(stop)
	<-ended
	b.drain()
	b.verify()
}

func TestSampleBoundsTheNextRows(t *testing.T) {
	schema, err := kudu.NewSchema([]kudu.Column{{Name: "n", Type: kudu.Int64, Key: true}})
	if err != nil {
		t.Fatal(err)
	}
	order, err := predicate.OrderBy(schema, "n")
	if err != nil {
		t.Fatal(err)
	}
	key, place, can := sampled(order, schema)
	if !can {
		t.Fatal("an integer can't be sampled")
	}
	b := kudu.NewBatchBuilder(schema)
	for i := range 100_000 {
		if err := b.Append(int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	c, err := order.Comparer(schema)
	if err != nil {
		t.Fatal(err)
	}
	all := &sampler{}
	for i := range 100_000 {
		all.offer(c.AppendKey(nil, b.Batch(), i), b.Batch(), place, i)
	}
	s := all.finish(0)
	if len(s.rows) != sampleRows || !slices.IsSortedFunc(s.rows, func(a, b sampledRow) int { return cmp.Compare(a.value.(int64), b.value.(int64)) }) {
		t.Fatalf("%d rows, sorted or not", len(s.rows))
	}
	s.served = 50_000
	at := s.rows[sampleRows*65/100].value.(int64)
	if got := s.bound(key, 10_000); len(got) != 1 || at < 55_000 || at > 75_000 || fmt.Sprint(got[0]) == "" {
		t.Errorf("behind 50000 of 100000 rows, the bound of 10000 is %v, near %d", got, at)
	}
	s.served = 95_000
	if got := s.bound(key, 10_000); got != nil {
		t.Errorf("near the end the bound is %v", got)
	}
}
