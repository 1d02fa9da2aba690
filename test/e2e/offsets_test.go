package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// timesPublished numbers how often each id is in the topic.
func (s *stack) timesPublished(t *testing.T, topic string) map[int]int {
	t.Helper()
	times := map[int]int{}
	for _, id := range s.ids(t, topic) {
		times[id]++
	}
	return times
}

func TestPositionsAreExportedResetAndImported(t *testing.T) {
	newStack(t).changePositions(t, newJob(t, 2))
}

func (s *stack) changePositions(t *testing.T, j *job) {
	t.Helper()
	if err := s.tool.CreateTable(t.Context(), eventTable(j.table)); err != nil {
		t.Fatal(err)
	}
	const rows = 200
	s.events(t, j.table, midnight, 0, rows)
	dir := t.TempDir()
	files := s.files(t, dir, []*job{j})
	run := func(want int, args ...string) string {
		t.Helper()
		out, code := command(t, slices.Concat([]string{"offsets", args[0]}, files, args[1:])...)
		if code != want {
			t.Fatalf("offsets %v exits with %d, want %d:\n%s", args, code, want, out)
		}
		return out
	}
	// A worker that couldn't take its leave counts for its session's time.
	stopped := func(w *worker) {
		t.Helper()
		w.stop()
		eventually(t, patience, "nobody runs the connector", func() bool {
			_, code := command(t, slices.Concat([]string{"offsets", "reset"}, files)...)
			return code == 0
		})
	}
	if out := run(0, "list"); out != "no position is stored\n" {
		t.Errorf("of a connector that never ran:\n%s", out)
	}
	w := s.start(t, j, "worker")
	s.awaitRecords(t, j.topic, rows, patience)
	if out := run(0, "list"); strings.Count(out, `{"at":"`) != 4 {
		t.Errorf("beside a worker four positions are listed as\n%s", out)
	}
	run(1, "reset", "--execute") // the worker has the connector
	stopped(w)

	exported := run(0, "export")
	backup := filepath.Join(dir, "offsets")
	if err := os.WriteFile(backup, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	run(0, "reset")
	if out := run(0, "export"); out != exported {
		t.Errorf("a dry run has changed\n%sto\n%s", exported, out)
	}
	run(0, "reset", "--execute")
	if out := run(0, "list"); out != "no position is stored\n" {
		t.Errorf("after a reset there are\n%s", out)
	}
	run(0, "import", backup, "--execute")
	if out := run(0, "export"); out != exported {
		t.Errorf("after the import there are\n%snot\n%s", out, exported)
	}

	// With all positions back nothing is published again.
	s.events(t, j.table, midnight, rows, 2*rows)
	w = s.start(t, j, "restored")
	s.awaitRecords(t, j.topic, 2*rows, patience)
	stopped(w)
	if times := s.timesPublished(t, j.topic); len(times) != 2*rows {
		t.Errorf("%d rows are published", len(times))
	} else {
		for id, n := range times {
			if n != 1 {
				t.Errorf("row %d is published %d times", id, n)
			}
		}
	}

	// Of the tablet whose position is deleted, and of no other, all rows come again.
	tablet := slices.Sorted(maps.Keys(s.positions(t, j)))[0]
	var again []string
	for _, row := range s.tableRows(t, j.table)[tablet] {
		again = append(again, string(row))
	}
	run(2, "reset", "--tablet", "nonsense", "--execute")
	run(0, "reset", "--tablet", tablet, "--execute")
	w = s.start(t, j, "again")
	s.awaitRecords(t, j.topic, 2*rows+len(again), patience)
	w.stop()
	twice := 0
	for id, n := range s.timesPublished(t, j.topic) {
		switch n {
		case 1:
		case 2:
			twice++
		default:
			t.Errorf("row %d is published %d times", id, n)
		}
	}
	if twice != len(again) || twice == 0 {
		t.Errorf("%d rows are published twice, the tablet has %d", twice, len(again))
	}
}
