package preflight

import (
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestTheCostOfTheKeyIsTold(t *testing.T) {
	for _, c := range []struct {
		name, key, says string
		change          func(*world)
	}{
		{"prefix", "streaming.key", "costs one seek, and rows come in order", func(w *world) { w.c.StreamingKey = []string{"at"} }},
		{"merge", "streaming.key", "one task merges all tablets", func(w *world) { w.c.OrderScope, w.c.TasksMax = "table", 1 }},
		{"sort", "streaming.key", "and sorts the new ones", func(w *world) { w.c.StreamingKey = []string{"seen"} }},
		{"walk", "streaming.key", "nothing is sorted", func(w *world) { w.c.StreamingKey, w.c.Order = []string{"seen"}, "none" }},
		{"sweep streamed", "sweep.order.by", "streamed without a sort", func(w *world) { w.c.Mode, w.c.Where = "sweep", "price > 1" }},
		{"sweep picked", "sweep.order.by", "looks at all rows that meet where", func(w *world) {
			w.c.Mode, w.c.Where, w.c.SweepOrderBy = "sweep", "price > 1", []string{"price DESC"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			r := w.check()
			r.want(t, Note, "mode.key", c.key, c.says)
			r.wantNoWorseThan(t, Note)
		})
	}
}

func TestWhatIsNotSeenIsTold(t *testing.T) {
	w := newWorld(t)
	w.check().want(t, Note, "mode.key", "late.rows", "a smaller at than one that was published already is not seen")
	w.c.StreamingKey = []string{"price"}
	w.check().want(t, Note, "mode.key", "late.rows", "a row is new when its (price) is above")
	w.c.StreamingKey, w.c.SettleDelay = nil, time.Minute
	for _, f := range w.check().Findings {
		if f.Key == "late.rows" {
			t.Errorf("told with a delay: %+v", f)
		}
	}
}

func TestBoundsThatLeaveNothingAreAWarning(t *testing.T) {
	w := newWorld(t)
	w.c.OffsetStartValues, w.c.OffsetStopValues = map[string]string{"at": "5000"}, map[string]string{"at": "5000"}
	w.check().want(t, Warning, "mode.key", "offset.stop.*", "nothing will be read")
	w.c.OffsetStopValues["at"] = "5001"
	w.check().wantNoWorseThan(t, Note)
}

func TestPartsOfWhereThatKuduDoesNotEvaluateAreTold(t *testing.T) {
	w := newWorld(t)
	w.c.Where = "price > 1 AND note LIKE 'row%4' AND (id = 4 OR price = 7)"
	r := w.check()
	r.want(t, Note, "mode.where", "where", "is evaluated by Kudu in part only: LIKE with more than a prefix")
	r.want(t, Note, "mode.where", "where", "is evaluated here and not by Kudu: OR of different tests")
	told := 0
	for _, f := range r.Findings {
		if f.Check == "mode.where" {
			told++
		}
	}
	if told != 2 {
		t.Errorf("%d parts are told:\n%s", told, r.text(t))
	}
	w.c.LateRows, w.c.Where = "repair", "price > 1"
	w.check().want(t, Note, "mode.where", "where", "in repairs of late rows")
	w.c.LateRows, w.c.Where = "ignore", "price > 1 AND price < 1"
	w.check().want(t, Warning, "mode.where", "where", "no row can meet it: the conditions contradict each other")
}

func TestTasksWithoutTabletsAreTold(t *testing.T) {
	w := newWorld(t)
	w.c.TasksMax = 6
	w.check().want(t, Note, "mode.tasks", "tasks.max", "2 tasks have nothing to read")
	w.c.OrderScope = "table"
	w.check().want(t, Note, "mode.tasks", "tasks.max", "one task reads everything; 5 tasks have nothing to do")
	w.makeTable(kudufake.TableSpec{Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 5}}})
	w.c.OrderScope, w.c.TasksMax = "tablet", 4
	for _, f := range w.check().Findings {
		if f.Check == "mode.tasks" {
			t.Errorf("an even spread is told: %+v", f)
		}
	}
}

func TestHistoryIsComparedWithTheIntervalOfRepairs(t *testing.T) {
	w := newWorld(t)
	history := func(seconds string) {
		w.makeTable(kudufake.TableSpec{ExtraConfigs: map[string]string{historyKey: seconds}})
	}
	history("600")
	w.check().want(t, Note, "mode.history", "kudu.table", "Kudu keeps history for 10m0s")
	w.c.LateRows = "repair"
	w.c.LateRowsInterval = 10 * time.Minute
	w.check().want(t, Error, "mode.history", "late.rows.interval.ms", "late rows are lost")
	w.c.LateRowsInterval = 2 * time.Minute
	w.check().want(t, Warning, "mode.history", "late.rows.interval.ms", "a worker that is stopped for longer")
	w.c.LateRowsInterval = time.Minute
	w.check().want(t, Note, "mode.history", "late.rows.interval.ms", "all workers may be stopped for as long")
	history("-1")
	for _, f := range w.check().Findings {
		if f.Check == "mode.history" {
			t.Errorf("endless history is told: %+v", f)
		}
	}
}

func TestColumnsThatLoseSomethingAreTold(t *testing.T) {
	w := newWorld(t)
	w.c.DecimalHandlingMode = "double"
	w.check().want(t, Warning, "serde.columns", "decimal.handling.mode", "price DECIMAL(18,2)")
	w.c.DecimalHandlingMode, w.c.TimePrecisionMode, w.c.KeyColumns = "string", "connect", []string{"id"}
	w.check().want(t, Note, "serde.columns", "time.precision.mode", "microseconds are cut off in at, seen")
	w.c.KeyColumns = nil
	w.check().want(t, Warning, "serde.columns", "time.precision.mode", "the key holds at", "serde.rows")
}

func TestRowsThatCannotBePublishedAreErrors(t *testing.T) {
	w := newWorld(t)
	w.c.TimePrecisionMode = "connect" // the rows' times have microseconds
	w.check().want(t, Error, "serde.rows", "columns", "4 can't be written as records", "serde.columns")
	w.c.TimePrecisionMode, w.c.ProducerBatchBytes = "isostring", 60
	w.check().want(t, Error, "serde.rows", "producer.override.batch.size", "5 are larger than 60 bytes")
}
