package e2e

import (
	"strconv"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func parseFloat(s string, bits int) (float64, error) { return strconv.ParseFloat(s, bits) }

func TestRowsFlowFromTableToTopic(t *testing.T) {
	s := newStack(t)
	j := newJob(t, 2)
	const rows = 20_000
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Create: true, Rows: rows}, nil); err != nil {
		t.Fatal(err)
	}
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, rows, patience)
	// Rows that come later are found by the next polls.
	if _, err := s.tool.Generate(t.Context(), testenv.GenerateOptions{Table: j.table, Kind: "narrow", Rows: 1000, Start: rows, Ordered: true}, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitRecords(t, j.topic, rows+1000, patience)
	w.stop()
	s.verify(t, j, "event_time", "id")
}

func itoa(n int) string { return strconv.Itoa(n) }
