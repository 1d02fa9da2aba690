package extsort

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

type record struct{ key, row string }

// sorted puts records through a sorter and takes them all.
func sorted(s *Sorter, records []record) ([]record, error) {
	for _, r := range records {
		if err := s.Add(context.Background(), []byte(r.key), []byte(r.row)); err != nil {
			return nil, err
		}
	}
	if err := s.Sort(context.Background()); err != nil {
		return nil, err
	}
	var out []record
	for {
		key, row, err := s.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, record{string(key), string(row)})
	}
}

func byKey(a, b record) int {
	if c := bytes.Compare([]byte(a.key), []byte(b.key)); c != 0 {
		return c
	}
	return bytes.Compare([]byte(a.row), []byte(b.row))
}

// same reports whether got is want in the order of keys; records of equal keys
// come in any order.
func same(got, want []record) error {
	if !slices.IsSortedFunc(got, func(a, b record) int { return bytes.Compare([]byte(a.key), []byte(b.key)) }) {
		return errors.New("the keys are not in order")
	}
	got, want = slices.Clone(got), slices.Clone(want)
	slices.SortFunc(got, byKey)
	slices.SortFunc(want, byKey)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%d records differ from the %d added", len(got), len(want))
	}
	return nil
}

func TestAnyBudgetGivesTheOrderOfAReferenceSort(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		budget := NewBudget(int64(rapid.SampledFrom([]int{0, 20 << 10, 100 << 10, 1 << 20}).Draw(rt, "budget")))
		n := rapid.IntRange(0, 3000).Draw(rt, "records")
		longest := rapid.SampledFrom([]int{0, 3, 8, 9, 40, 3000}).Draw(rt, "longest")
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		records := make([]record, n)
		for i := range records {
			key := make([]byte, dice.IntN(longest+1))
			for k := range key {
				key[k] = []byte{0, 1, 0xff, 'a'}[dice.IntN(4)]
			}
			records[i] = record{string(key), fmt.Sprint(i)}
		}
		s := NewSorter(budget, dir)
		got, err := sorted(s, records)
		if err != nil {
			rt.Fatal(err)
		}
		if err := same(got, records); err != nil {
			rt.Fatal(err)
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
		if budget.used != 0 || budget.open != 0 {
			rt.Fatalf("%d bytes of %d sorters are not given back", budget.used, budget.open)
		}
		if budget.peak > budget.total {
			rt.Fatalf("%d bytes were used of %d", budget.peak, budget.total)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func FuzzSort(f *testing.F) {
	f.Add([]byte("b\x00a\x00\x00ab\x00"), uint16(3))
	f.Fuzz(func(t *testing.T, text []byte, repeat uint16) {
		var records []record
		for i, key := range bytes.Split(text, []byte{0}) {
			for n := range repeat%300 + 1 {
				records = append(records, record{string(key), fmt.Sprint(i, n)})
			}
		}
		s := NewSorter(NewBudget(0), t.TempDir())
		defer func() { _ = s.Close() }()
		got, err := sorted(s, records)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(got, records); err != nil {
			t.Fatal(err)
		}
	})
}

func TestARecordLargerThanTheBudgetIsSortedToo(t *testing.T) {
	s := NewSorter(NewBudget(32<<10), t.TempDir())
	defer func() { _ = s.Close() }()
	var records []record
	for i := range 40 {
		records = append(records, record{fmt.Sprintf("%02d", (i*7)%40), string(bytes.Repeat([]byte{'x'}, i*3000))})
	}
	got, err := sorted(s, records)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(got, records); err != nil {
		t.Fatal(err)
	}
}

func TestAFewRecordsMakeNoFileAndTakeLittleMemory(t *testing.T) {
	budget := NewBudget(64 << 20)
	s := NewSorter(budget, "/nonexistent")
	defer func() { _ = s.Close() }()
	var records []record
	for i := range 50 {
		records = append(records, record{fmt.Sprint(i), "a row of some bytes"})
	}
	if _, err := sorted(s, records); err != nil {
		t.Fatal(err)
	}
	if budget.peak > firstChunk {
		t.Errorf("%d bytes for 50 records", budget.peak)
	}
}

// numbered feeds a sorter with so many records, in no order, without holding
// them.
func numbered(s *Sorter, n, size int, dice *rand.Rand) error {
	row := make([]byte, size)
	key := make([]byte, 16)
	for i := range n {
		for k := range key {
			key[k] = byte(dice.Uint32())
		}
		row[0] = byte(i)
		if err := s.Add(context.Background(), key, row); err != nil {
			return err
		}
	}
	return s.Sort(context.Background())
}

func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemoryStaysWithinTheBudgetWhateverTheBacklog(t *testing.T) {
	const total, records, size = 4 << 20, 400_000, 100 // ten times the budget
	budget := NewBudget(total)
	before := liveHeap()
	s := NewSorter(budget, t.TempDir())
	defer func() { _ = s.Close() }()
	most := int64(0)
	look := func() { most = max(most, liveHeap()-before) }
	dice := rand.New(rand.NewPCG(1, 2))
	row, key := make([]byte, size), make([]byte, 16)
	for i := range records {
		for k := range key {
			key[k] = byte(dice.Uint32())
		}
		if err := s.Add(t.Context(), key, row); err != nil {
			t.Fatal(err)
		}
		if i%(records/20) == 0 {
			look()
		}
	}
	if err := s.Sort(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		if _, _, err := s.Next(); errors.Is(err, io.EOF) {
			if n != records {
				t.Errorf("%d records came back", n)
			}
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if n%(records/20) == 0 {
			look()
		}
	}
	t.Logf("peak %d KiB as counted, %d KiB live, %d KiB spilled", budget.peak>>10, most>>10, s.Spilled()>>10)
	if budget.peak > total {
		t.Errorf("%d bytes of the budget were used", budget.peak)
	}
	if most > total+256<<10 {
		t.Errorf("%d bytes were live with a budget of %d", most, total)
	}
	if written := int64(records * (16 + size + 2)); s.Spilled() > written+written/10 {
		t.Errorf("%d bytes were written for records of %d", s.Spilled(), written)
	}
}

func TestMoreRunsThanCanBeMergedAtATimeAreMergedInPasses(t *testing.T) {
	s := NewSorter(NewBudget(0), t.TempDir())
	defer func() { _ = s.Close() }()
	const n = 20_000
	if err := numbered(s, n, 20, rand.New(rand.NewPCG(3, 4))); err != nil {
		t.Fatal(err)
	}
	if s.Spilled() < 2*n*38 {
		t.Fatalf("%d bytes were spilled: there was only one pass", s.Spilled())
	}
	var last []byte
	for count := 0; ; count++ {
		key, _, err := s.Next()
		if errors.Is(err, io.EOF) {
			if count != n {
				t.Errorf("%d records", count)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Compare(last, key) > 0 {
			t.Fatal("not in order")
		}
		last = append(last[:0], key...)
	}
}

func TestSortersShareABudgetWithoutStarvingEachOther(t *testing.T) {
	const total = 1 << 20
	budget := NewBudget(total)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			s := NewSorter(budget, dir)
			defer func() { _ = s.Close() }()
			if err := numbered(s, 10_000, 60, rand.New(rand.NewPCG(uint64(i), 0))); err != nil {
				t.Error(err)
				return
			}
			n := 0
			for ; ; n++ {
				if _, _, err := s.Next(); err != nil {
					break
				}
				runtime.Gosched()
			}
			if n != 10_000 {
				t.Errorf("sorter %d gave %d records", i, n)
			}
		})
	}
	wg.Wait()
	if budget.peak > total || budget.used != 0 {
		t.Errorf("peak %d, left %d, of %d", budget.peak, budget.used, total)
	}
}

func TestWaitingForMemoryEndsWithTheContext(t *testing.T) {
	budget := NewBudget(32 << 10)
	if !budget.take(32 << 10) {
		t.Fatal("an unused budget is exhausted")
	}
	s := NewSorter(budget, t.TempDir())
	defer func() { _ = s.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Add(ctx, []byte("k"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	budget.give(32 << 10)
	if err := s.Add(t.Context(), []byte("k"), nil); err != nil {
		t.Error(err)
	}
}

func TestMergingRunsEndsWithTheContext(t *testing.T) {
	s := NewSorter(NewBudget(0), t.TempDir())
	defer func() { _ = s.Close() }()
	for i := range 20_000 {
		if err := s.Add(t.Context(), fmt.Append(nil, i*7919%20_000), make([]byte, 20)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Sort(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// fullDisk takes so many bytes.
type fullDisk struct {
	tempFile
	room int
}

func (d *fullDisk) Write(b []byte) (int, error) {
	n := min(len(b), d.room)
	d.room -= n
	if n < len(b) {
		return n, &os.PathError{Op: "write", Path: "sort", Err: syscall.ENOSPC}
	}
	return d.tempFile.Write(b)
}

func TestAFullDiskIsAnErrorWhereverItShows(t *testing.T) {
	dir := t.TempDir()
	for _, room := range []int{0, 1, 50_000, 500_000, 900_000} {
		budget := NewBudget(0)
		s := NewSorter(budget, dir)
		inner := s.create
		disk := &fullDisk{room: room}
		s.create = func() (tempFile, error) {
			f, err := inner()
			return &fullDisk{f, disk.room}, err
		}
		err := numbered(s, 20_000, 20, rand.New(rand.NewPCG(5, 6)))
		if !errors.Is(err, syscall.ENOSPC) && room < 700_000 {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if budget.used != 0 {
			t.Errorf("%d bytes are not given back", budget.used)
		}
	}
	s := NewSorter(NewBudget(0), dir+"/missing")
	if err := numbered(s, 20_000, 20, rand.New(rand.NewPCG(5, 6))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestACutOffFileIsAnError(t *testing.T) {
	for _, end := range []int64{1, 3, 1000} {
		f, err := createTemp(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte{5, 5, 'a'}); err != nil {
			t.Fatal(err)
		}
		r := &runReader{f: f, end: end, buf: make([]byte, 1024)}
		if more, err := r.next(); err == nil {
			t.Errorf("a record came out of a file cut off at %d: %v", end, more)
		}
		_ = f.Close()
	}
}

func BenchmarkSort(b *testing.B) {
	for _, total := range []int64{8 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("%dMiB", total>>20), func(b *testing.B) {
			dir := b.TempDir()
			for b.Loop() {
				s := NewSorter(NewBudget(total), dir)
				if err := numbered(s, 1_000_000, 40, rand.New(rand.NewPCG(7, 8))); err != nil {
					b.Fatal(err)
				}
				for {
					if _, _, err := s.Next(); err != nil {
						break
					}
				}
				_ = s.Close()
			}
		})
	}
}
