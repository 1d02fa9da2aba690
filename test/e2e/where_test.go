package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func TestWhereAndColumnsChooseWhatIsPublished(t *testing.T) {
	for _, scope := range []string{"tablet", "table"} {
		t.Run(scope, func(t *testing.T) {
			s := newStack(t)
			j := newJob(t, 2)
			j.connector["order.scope"] = scope
			// Pushed: the comparison of id. Evaluated here: LIKE and OR.
			j.connector["where"] = "id >= 10 AND (v LIKE '%7' OR v IS NULL) AND at < now() + INTERVAL 1 DAY"
			j.connector["columns"] = "v AS label, id, id AS again"
			j.connector["key.columns"] = "id"
			j.connector["transaction.max.rows"] = "7"
			j.connector["kudu.scan.batch.bytes"] = "1024"
			if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
				t.Fatal(err)
			}
			const rows = 3000
			var want []string
			var batch []testenv.Row
			for id := range rows {
				row := testenv.Row{"at": midnight.Add(time.Duration(id) * time.Second), "id": id}
				text := "null"
				if id%5 != 0 {
					text = `"x` + string(rune('0'+id%10)) + `"`
					row["v"] = text[1 : len(text)-1]
				}
				batch = append(batch, row)
				if id >= 10 && (id%10 == 7 || id%5 == 0) {
					n := itoa(id)
					want = append(want, `{"label":`+text+`,"id":`+n+`,"again":`+n+`}`)
				}
			}
			if _, err := s.tool.Write(t.Context(), j.table, "insert", batch...); err != nil {
				t.Fatal(err)
			}
			w := s.start(t, j, "worker")
			s.awaitRecords(t, j.topic, len(want)/2, patience)
			w.stop()
			w = s.start(t, j, "again")
			s.awaitRecords(t, j.topic, len(want), patience)
			w.stop()
			var got []string
			for _, p := range s.consume(t, j.topic) {
				got = append(got, string(p.value))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%d records, want %d; the first: %v, want %v", len(got), len(want), got[:min(3, len(got))], want[:3])
			}
		})
	}
}

func TestFaultyWhereIsPointedAtBeforeAnythingIsWritten(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 1)
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	j.connector["where"] = "idd > 3"
	j.connector["columns"] = "nothing"
	w := s.start(t, j, "worker")
	code, err := w.Wait(t.Context())
	if err != nil || code != 2 {
		t.Errorf("exit code %d (%v), want 2", code, err)
	}
	w.awaitLine(`did you mean id?`, time.Second)
	w.awaitLine(`nothing`, time.Second)
}
