package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// screen shows lines: in place on a terminal, one block after another
// elsewhere. It serves one goroutine.
type screen struct {
	out io.Writer
	// size gives columns and rows; ok is false if out is no terminal.
	size  func() (columns, rows int, ok bool)
	drawn int // lines of the last block, above the cursor
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, size: func() (int, int, bool) {
		if os.Getenv("TERM") == "dumb" {
			return 0, 0, false
		}
		ws, err := unix.IoctlGetWinsize(int(out.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0, 0, false
		}
		if ws.Col == 0 || ws.Row == 0 {
			return 80, 24, true
		}
		return int(ws.Col), int(ws.Row), true
	}}
}

// interval is the time between two drawings.
func (s *screen) interval() time.Duration {
	if _, _, terminal := s.size(); terminal {
		return 250 * time.Millisecond
	}
	return time.Second
}

// say writes a line that stays.
func (s *screen) say(format string, args ...any) {
	s.drawn = 0
	fmt.Fprintf(s.out, format+"\n", args...)
}

// draw shows the lines in the place of those it has shown before.
func (s *screen) draw(lines []string) error {
	columns, rows, terminal := s.size()
	var b strings.Builder
	if terminal {
		lines = lines[:min(len(lines), max(1, rows-1))]
		if s.drawn > 0 {
			fmt.Fprintf(&b, "\x1b[%dA", s.drawn) // up to the first
		}
	}
	for _, line := range lines {
		line = plain(line)
		if !terminal {
			b.WriteString(line + "\n")
			continue
		}
		b.WriteString("\r" + cut(line, columns) + "\x1b[K\n") // and clear the rest of the line
	}
	if terminal {
		b.WriteString("\x1b[J") // and what is below
		s.drawn = len(lines)
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// cut keeps a line from wrapping.
func cut(line string, columns int) string {
	runes := []rune(line)
	if len(runes) <= columns {
		return line
	}
	if columns < 4 {
		return string(runes[:max(0, columns)])
	}
	return string(runes[:columns-3]) + "..."
}
