package extsort

import (
	"context"
	"fmt"
	"io"
)

const (
	firstChunk = 4 << 10
	maxChunk   = 1 << 20
	// maxBuffer is enough for a disk to read and write at its speed; leastBuffer
	// lets more runs be merged at a time.
	maxBuffer   = 256 << 10
	leastBuffer = 16 << 10
	writeBuffer = 64 << 10
	// stopCheck is after how many records a context is looked at.
	stopCheck = 4096
)

// Sorter sorts records. Add them, then Sort, then take them with Next; Close at
// the end, or at any time before.
type Sorter struct {
	budget *Budget
	create func() (tempFile, error)

	chunks  []*chunk // filled, but for the last
	spare   []*chunk // empty
	held    int64    // bytes taken from the budget
	bytes   int64    // of all records, with their lengths
	records int64
	largest int // record
	file    *runFile
	merger  *merger
	spilled int64 // bytes written to disk
	closed  bool
}

// NewSorter makes a sorter that takes its memory from the budget and spills to
// files in dir; empty is the system's folder for temporary files.
func NewSorter(b *Budget, dir string) *Sorter {
	b.enter()
	return &Sorter{budget: b, create: func() (tempFile, error) { return createTemp(dir) }}
}

// Len is the number of records added.
func (s *Sorter) Len() int64 { return s.records }

// Spilled is the number of bytes written to disk so far.
func (s *Sorter) Spilled() int64 { return s.spilled }

// Add copies a record. It may write a run to disk, and wait for memory; both end
// with ctx. After an error only Close may be called.
func (s *Sorter) Add(ctx context.Context, key, row []byte) error {
	size := recordSize(key, row)
	if n := len(s.chunks); n == 0 || !s.chunks[n-1].fits(size) {
		if err := s.grow(ctx, size); err != nil {
			return err
		}
	}
	s.chunks[len(s.chunks)-1].add(key, row)
	s.records++
	s.bytes += int64(size)
	s.largest = max(s.largest, size)
	return nil
}

// grow makes room for a record of that size in another chunk.
func (s *Sorter) grow(ctx context.Context, record int) error {
	if n := len(s.chunks); n > 0 {
		s.chunks[n-1].sort()
	}
	if s.reuse(record) {
		return nil
	}
	size := max(s.chunkSize(), int64(record)+entrySize)
	// A little may be held in any case, so that no run is tiny.
	fair := s.held+size <= s.budget.share() || s.held+size <= s.chunkLimit()
	if fair && s.budget.take(size) {
		s.allocate(size, record)
		return nil
	}
	if len(s.chunks) > 0 {
		if err := s.spill(ctx); err != nil {
			return err
		}
		if s.reuse(record) {
			return nil
		}
	}
	s.drop()
	if err := s.budget.wait(ctx, size); err != nil {
		return err
	}
	s.allocate(size, record)
	return nil
}

// chunkSize is that of the next chunk: the first ones are small, for sorts of a
// few records.
func (s *Sorter) chunkSize() int64 {
	size := int64(firstChunk)
	for range s.chunks {
		if size *= 4; size >= s.chunkLimit() {
			return s.chunkLimit()
		}
	}
	return size
}

// chunkLimit keeps a small budget from being one chunk.
func (s *Sorter) chunkLimit() int64 {
	return max(min(s.budget.total/32, maxChunk), firstChunk)
}

func (s *Sorter) allocate(size int64, record int) {
	s.held += size
	average := record
	if s.records > 0 {
		average = int(s.bytes / s.records)
	}
	s.chunks = append(s.chunks, newChunk(size, average, record))
}

// reuse takes an empty chunk that the record fits into.
func (s *Sorter) reuse(record int) bool {
	for i := len(s.spare) - 1; i >= 0; i-- {
		if c := s.spare[i]; c.fits(record) {
			s.spare = append(s.spare[:i], s.spare[i+1:]...)
			s.chunks = append(s.chunks, c)
			return true
		}
	}
	return false
}

// drop gives all memory back.
func (s *Sorter) drop() {
	s.chunks, s.spare = nil, nil
	s.budget.give(s.held)
	s.held = 0
}

// spill writes the chunks as a run and empties them. If that is more memory
// than the sorter should hold now, some is given back.
func (s *Sorter) spill(ctx context.Context) error {
	s.chunks[len(s.chunks)-1].sort()
	if s.file == nil {
		f, err := s.newFile()
		if err != nil {
			return err
		}
		s.file = f
	}
	if err := s.write(ctx, s.file, newMerger(streams(s.chunks), func(stream) {})); err != nil {
		return err
	}
	for _, c := range s.chunks {
		c.reset()
	}
	s.spare, s.chunks = append(s.spare, s.chunks...), nil
	// The least chunks stand first, and aren't worth keeping.
	for len(s.spare) > 1 && (s.held > s.budget.share() || s.spare[0].size < s.chunkLimit()) {
		s.held -= s.spare[0].size
		s.budget.give(s.spare[0].size)
		s.spare = s.spare[1:]
	}
	return nil
}

func (s *Sorter) newFile() (*runFile, error) {
	f, err := s.create()
	if err != nil {
		return nil, fmt.Errorf("creating a temporary file of a sort: %w", err)
	}
	return &runFile{f: f}, nil
}

// write writes all records of a merger as one run.
func (s *Sorter) write(ctx context.Context, to *runFile, m *merger) error {
	size := int64(writeBuffer)
	if !s.budget.take(size) {
		size = 0
	}
	defer s.budget.give(size)
	to.buf = make([]byte, 0, max(size, firstChunk))
	defer func() { to.buf = nil }()
	before := to.size
	to.begin()
	for n := 0; ; n++ {
		if n%stopCheck == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		h, err := m.next()
		if err != nil {
			return err
		}
		if h == nil {
			s.spilled += to.size - before
			return to.end()
		}
		if err := to.add(h.key, h.row); err != nil {
			return err
		}
	}
}

// Sort ends the adding and prepares Next. It may merge runs on disk, and wait
// for memory; both end with ctx.
func (s *Sorter) Sort(ctx context.Context) error {
	if s.file == nil {
		if len(s.chunks) > 0 {
			s.chunks[len(s.chunks)-1].sort()
		}
		if s.held <= s.budget.share() || len(s.chunks) <= 1 {
			s.merger = newMerger(streams(s.chunks), s.chunkEnded)
			return nil
		}
	}
	if len(s.chunks) > 0 {
		if err := s.spill(ctx); err != nil {
			return err
		}
	}
	s.drop()
	least := max(min(leastBuffer, s.budget.total/16), int64(s.largest))
	for {
		runs := int64(len(s.file.runs))
		n, size, err := s.buffers(ctx, runs, least)
		if err != nil {
			return err
		}
		if n == runs {
			s.merger = newMerger(s.readers(s.file.runs, size), s.readerEnded)
			return nil
		}
		if err := s.pass(ctx, int(n), size); err != nil {
			return err
		}
		s.drop()
	}
}

// buffers takes memory to read as many of the runs at a time as it can, and at
// least two.
func (s *Sorter) buffers(ctx context.Context, runs, least int64) (n, size int64, err error) {
	n = min(runs, max(s.budget.share()/least, 2))
	size = max(min(s.budget.share()/n, maxBuffer), least)
	for !s.budget.take(n * size) {
		if size > least {
			size = max(size/2, least)
			continue
		}
		if n <= 2 {
			if err := s.budget.wait(ctx, n*size); err != nil {
				return 0, 0, err
			}
			break
		}
		n = max(n/2, 2)
	}
	s.held = n * size
	return n, size, nil
}

// pass merges each n runs into one, in another file.
func (s *Sorter) pass(ctx context.Context, n int, size int64) error {
	from := s.file
	defer func() { _ = from.f.Close() }() // it has no name: nothing is left of it
	to, err := s.newFile()
	if err != nil {
		return err
	}
	s.file = to
	for runs := from.runs; len(runs) > 0; {
		k := min(n, len(runs))
		if err := s.write(ctx, to, newMerger(s.readersOf(from, runs[:k], size), func(stream) {})); err != nil {
			return err
		}
		runs = runs[k:]
	}
	return nil
}

func (s *Sorter) readers(runs []run, size int64) []stream { return s.readersOf(s.file, runs, size) }

func (s *Sorter) readersOf(file *runFile, runs []run, size int64) []stream {
	var out []stream
	for _, r := range runs {
		out = append(out, &runReader{f: file.f, off: r.off, end: r.end, buf: make([]byte, size)})
	}
	return out
}

func streams(chunks []*chunk) []stream {
	out := make([]stream, len(chunks))
	for i, c := range chunks {
		out[i] = c
	}
	return out
}

func (s *Sorter) chunkEnded(st stream) {
	c := st.(*chunk)
	s.held -= c.size
	s.budget.give(c.size)
	c.data, c.entries, c.head = nil, nil, head{}
	c.at = 0
}

func (s *Sorter) readerEnded(st stream) {
	r := st.(*runReader)
	s.held -= int64(len(r.buf))
	s.budget.give(int64(len(r.buf)))
	r.buf, r.lo, r.hi = nil, 0, 0
}

// Next gives the record of the next larger key, or io.EOF. Key and row are
// valid until the following call.
func (s *Sorter) Next() (key, row []byte, err error) {
	h, err := s.merger.next()
	switch {
	case err != nil:
		return nil, nil, err
	case h == nil:
		return nil, nil, io.EOF
	}
	return h.key, h.row, nil
}

// Close gives memory and files back. It may be called more than once.
func (s *Sorter) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.merger = nil
	s.drop()
	s.budget.leave()
	if s.file == nil {
		return nil
	}
	err := s.file.f.Close()
	s.file = nil
	return err
}
