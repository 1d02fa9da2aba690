package extsort

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// tempFile is what runs are written to.
type tempFile interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

const (
	tempPrefix = "kudu2kafka-sort-"
	tempSuffix = ".tmp"
)

// named is a file whose name couldn't be removed while it is open.
type named struct{ *os.File }

func (f named) Close() error { return errors.Join(f.File.Close(), os.Remove(f.Name())) }

// createTemp makes a file that has lost its name already.
func createTemp(dir string) (tempFile, error) {
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*"+tempSuffix)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // G703: the name is the one that CreateTemp has just made
	if err := os.Remove(f.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return named{f}, nil
	}
	return f, nil
}

// Sweep removes files that a killed process has left in a folder; empty is the
// system's folder for temporary files. It may be called at any time, also while
// other processes sort: on systems where a file in use has a name, it can't be
// removed.
func Sweep(dir string) {
	if dir == "" {
		dir = os.TempDir()
	}
	left, err := filepath.Glob(filepath.Join(dir, tempPrefix+"*"+tempSuffix))
	if err != nil {
		return // the folder's own name is a pattern; nothing is lost but tidiness
	}
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// Check reports whether files can be made in a folder.
func Check(dir string) error {
	f, err := createTemp(dir)
	if err != nil {
		return fmt.Errorf("making a temporary file: %w", err)
	}
	return f.Close()
}

// run is a part of a file: records in the order of their keys.
type run struct{ off, end int64 }

// runFile holds the runs of one level of merging.
type runFile struct {
	f    tempFile
	buf  []byte
	size int64 // written and buffered
	runs []run
}

// begin and end enclose the records of a run.
func (w *runFile) begin() { w.runs = append(w.runs, run{off: w.size}) }

func (w *runFile) end() error {
	w.runs[len(w.runs)-1].end = w.size
	return w.flush()
}

func (w *runFile) add(key, row []byte) error {
	if need := recordSize(key, row); cap(w.buf)-len(w.buf) < need && len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	n := len(w.buf)
	w.buf = appendRecord(w.buf, key, row)
	w.size += int64(len(w.buf) - n)
	return nil
}

func (w *runFile) flush() error {
	if _, err := w.f.Write(w.buf); err != nil {
		return fmt.Errorf("writing a temporary file of a sort: %w", err)
	}
	w.buf = w.buf[:0]
	return nil
}

// runReader reads a run through a buffer that has room for any of its records.
type runReader struct {
	f        io.ReaderAt
	off, end int64 // what hasn't been read into the buffer
	buf      []byte
	lo, hi   int
	head
}

func (r *runReader) current() *head { return &r.head }

func (r *runReader) next() (bool, error) {
	key, row, size, whole := cut(r.buf[r.lo:r.hi])
	if !whole {
		if err := r.fill(); err != nil {
			return false, err
		}
		if key, row, size, whole = cut(r.buf[r.lo:r.hi]); !whole {
			if r.lo == r.hi && r.off == r.end {
				return false, nil
			}
			return false, errors.New("reading a temporary file of a sort: it holds no whole record where one should be")
		}
	}
	r.lo += size
	r.prefix, r.key, r.row = Prefix(key), key, row
	return true, nil
}

// fill moves what is left to the front of the buffer and reads more behind it.
func (r *runReader) fill() error {
	r.hi = copy(r.buf, r.buf[r.lo:r.hi])
	r.lo = 0
	n := min(int64(len(r.buf)-r.hi), r.end-r.off)
	if n == 0 {
		return nil
	}
	got, err := r.f.ReadAt(r.buf[r.hi:r.hi+int(n)], r.off)
	if int64(got) < n {
		if errors.Is(err, io.EOF) || err == nil {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading a temporary file of a sort: %w", err)
	}
	r.hi += got
	r.off += n
	return nil
}

// cut takes the first record off the bytes, if they hold a whole one.
func cut(b []byte) (key, row []byte, size int, whole bool) {
	k, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, 0, false
	}
	l, m := binary.Uvarint(b[n:])
	if m <= 0 {
		return nil, nil, 0, false
	}
	body := b[n+m:]
	if k > uint64(len(body)) || l > uint64(len(body))-k {
		return nil, nil, 0, false
	}
	return body[:k:k], body[k : k+l : k+l], n + m + int(k) + int(l), true
}
