package connector

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// sparse is a table of which where leaves out nearly all rows, after Kudu has sent
// them.
type sparse struct {
	t     *testing.T
	table *kudufake.Table
	read  reading
	rows  int
}

func newSparse(t *testing.T, cfg Config) *sparse {
	t.Helper()
	c, err := kudufake.New(kudufake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := &sparse{t: t}
	if s.table, err = c.CreateTable(kudufake.TableSpec{
		Name: "sparse", Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String}},
	}); err != nil {
		t.Fatal(err)
	}
	client := newKuduClient(t, c.Config())
	table, err := client.OpenTable(t.Context(), "sparse")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Where = "text LIKE '%yes%'"
	plan, err := planRead(cfg, table.Schema())
	if err != nil {
		t.Fatal(err)
	}
	s.read = reading{
		table: table, client: client, plan: plan, batchBytes: 1 << 10, leftOutRows: 300, logger: hclog.NewNullLogger(),
		late: lateRows{repair: cfg.LateRows == lateRepair, interval: 1 << 50, guard: guardNone},
	}
	return s
}

func (s *sparse) insert(n int, text string) {
	s.t.Helper()
	var rows []kudufake.Row
	for range n {
		rows = append(rows, kudufake.Row{"id": s.rows, "text": text})
		s.rows++
	}
	if _, err := s.table.Insert(rows...); err != nil {
		s.t.Fatal(err)
	}
}

// poll polls once. It gives the rows that are published, and the positions that
// are stored without rows.
func (s *sparse) poll(p poller, r *tabletReader) (published int, ends []point) {
	s.t.Helper()
	_, err := p.poll(s.t.Context(), r, func(b *batch) bool {
		if b.end != nil {
			ends = append(ends, *b.end)
			return true
		}
		published += b.published()
		go b.done()
		<-b.taken
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return published, ends
}

func TestPositionsAreStoredThoughWhereLeavesAllRowsOut(t *testing.T) {
	for _, late := range []string{lateIgnore, lateRepair} {
		for _, scope := range []string{scopeTablet, scopeTable} {
			t.Run(fmt.Sprint(late, " ", scope), func(t *testing.T) {
				cfg := DefaultConfig()
				cfg.LateRows = late
				s := newSparse(t, cfg)
				tablets, err := s.read.table.Tablets(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				r := &tabletReader{id: tablets[0].ID}
				start := func() poller {
					p, _ := choosePoller(offsetOptions{reading: s.read, scope: scope}, []*tabletReader{r})
					return p
				}
				p := start()
				s.insert(5, "yes")
				s.insert(290, "no")
				if n, ends := s.poll(p, r); n != 5 || len(ends) != 0 {
					t.Errorf("%d rows, %v", n, ends)
				}
				s.insert(150, "no")
				n, ends := s.poll(p, r)
				if n != 0 || len(ends) != 1 {
					t.Fatalf("%d rows, %v", n, ends)
				}
				if n, again := s.poll(p, r); n != 0 || len(again) != 0 {
					t.Errorf("idle: %d rows, %v", n, again)
				}
				// After a restart it goes on behind the rows that were left out.
				src := &offsetSource{read: s.read}
				pos, err := src.Position(ends[0])
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf(`{"id":%d}`, s.rows-1); string(pos.PrimaryKey) != want && scope == scopeTable {
					t.Errorf("stored %s, want %s", pos.PrimaryKey, want)
				}
				s.wantRestored(src, r, pos)
				p = start()
				s.insert(3, "yes")
				if n, _ := s.poll(p, r); n != 3 {
					t.Errorf("%d rows after the restart, want 3", n)
				}
			})
		}
	}
}

// wantRestored restarts the reader from the position as it is read back.
func (s *sparse) wantRestored(src *offsetSource, r *tabletReader, pos offsets.Position) {
	s.t.Helper()
	text, err := pos.AppendJSON(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if pos, err = offsets.ParsePosition(text); err != nil {
		s.t.Fatal(err)
	}
	*r = tabletReader{id: r.id}
	if err := src.restore(r, pos); err != nil {
		s.t.Fatal(err)
	}
	if err := src.restoreCovered(r, pos); err != nil {
		s.t.Fatal(err)
	}
	if s.read.late.repair && len(r.covered) == 0 {
		s.t.Errorf("nothing is covered by %s", text)
	}
}

// TestRowsLeftOutDoNotKeepTheProgressOfRepairsUnsaved: only a row that is published
// takes the coverage with it.
func TestRowsLeftOutDoNotKeepTheProgressOfRepairsUnsaved(t *testing.T) {
	cfg := DefaultConfig()
	cfg.LateRows = lateRepair
	s := newSparse(t, cfg)
	tablets, err := s.read.table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &tabletReader{id: tablets[0].ID}
	p := &prefixPoller{s.read}
	s.insert(2, "yes")
	s.poll(p, r)
	if err := s.read.repairAll(t.Context(), r, placeRepairer{&s.read}, func(*batch) bool { return true }); err != nil {
		t.Fatal(err)
	}
	began := r.unsaved
	if began.IsZero() {
		t.Fatal("the repair's progress counts as stored")
	}
	s.insert(2, "no")
	s.poll(p, r)
	if !r.unsaved.Equal(began) {
		t.Error("rows that were left out count as if the progress were stored with them")
	}
	s.insert(1, "yes")
	s.poll(p, r)
	if !r.unsaved.IsZero() {
		t.Error("a published row doesn't take the progress with it")
	}
}

// To spare idle tablets the write of a barrier, what there is to read is looked at before.
func TestRowThatIsLeftOutHidesNoOthersFromTheLookBeforeABarrier(t *testing.T) {
	for _, scope := range []string{scopeTablet, scopeTable} {
		t.Run(scope, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.LateRows = lateRepair
			s := newSparse(t, cfg)
			s.read.late.guard = guardBarrier
			tablets, err := s.read.table.Tablets(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			r := &tabletReader{id: tablets[0].ID}
			p, _ := choosePoller(offsetOptions{reading: s.read, scope: scope}, []*tabletReader{r})
			s.insert(1, "no")
			s.insert(5, "yes")
			total := 0
			for range 3 {
				n, _ := s.poll(p, r)
				total += n
			}
			if total != 5 {
				t.Errorf("%d rows are published, want 5", total)
			}
		})
	}
}
