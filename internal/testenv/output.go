package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// tailLines is how many of a log's last lines an error shows.
const tailLines = 50

// output is the log file of a process, and wakes those who wait for a line.
// The lines themselves stay in the file.
type output struct {
	path string

	mu    sync.Mutex
	file  *os.File
	size  int64
	grown chan struct{} // closed and replaced whenever the file has grown
}

// openOutput opens the file for appending, so that a restarted server goes on
// in its own log.
func openOutput(path string) (*output, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening log %s: %w", path, err), f.Close())
	}
	return &output{path: path, file: f, size: info.Size(), grown: make(chan struct{})}, nil
}

// Write appends to the file and wakes the waiting.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.file.Write(p)
	o.size += int64(n)
	close(o.grown)
	o.grown = make(chan struct{})
	return n, err
}

func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.file.Close()
}

// state returns the file's size and a channel that is closed when it grows.
func (o *output) state() (int64, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size, o.grown
}

// find looks for the first whole line that matches, from the offset on. It
// returns the line without its end, and the offset to go on from: behind the
// line, or when none matched, at the first line that is not yet complete.
func (o *output) find(from, size int64, match func(string) bool) (line string, next int64, found bool, err error) {
	if from >= size {
		return "", from, false, nil
	}
	f, err := os.Open(o.path)
	if err != nil {
		return "", from, false, fmt.Errorf("reading log: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return "", from, false, fmt.Errorf("reading log: %w", err)
	}
	for {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			return "", from, false, nil
		}
		line := strings.TrimSuffix(string(data[:end]), "\r")
		data = data[end+1:]
		from += int64(end) + 1
		if match(line) {
			return line, from, true, nil
		}
	}
}

// Tail returns at most n of the last lines of the file, or a note in their
// place if it cannot be read.
func Tail(path string, n int) string {
	// Far more than n lines of any sane length, and still little to read.
	const window = 256 << 10
	f, err := os.Open(path)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	from := max(0, info.Size()-window)
	data, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
