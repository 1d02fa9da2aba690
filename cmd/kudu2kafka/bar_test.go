package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/internal/status"
)

func TestBarIsThereOnATerminalOnly(t *testing.T) {
	for name, test := range map[string]struct {
		tty   bool
		lines string
		kind  string // TERM
		want  bool
	}{
		"terminal":                       {tty: true, want: true},
		"no terminal":                    {},
		"terminal that knows lines only": {tty: true, kind: "dumb"},
		"terminal, a log at debug":       {tty: true, lines: "log.level: debug\n"},
		"terminal, a log of JSON":        {tty: true, lines: "log.format: json\n"},
	} {
		t.Run(name, func(t *testing.T) {
			w := fakeWorker{run: func(context.Context) error { return nil }}
			h := newHarness(t, w, test.lines)
			h.terminal = func(io.Writer) (int, bool) { return 80, test.tty }
			env := h.env
			h.env = func(name string) (string, bool) {
				if name == "TERM" {
					return test.kind, test.kind != ""
				}
				return env(name)
			}
			var bar *status.Bar
			h.newWorker = func(_ context.Context, p setup) (worker, error) {
				bar = p.bar
				return w, nil
			}
			h.want(t, h.runFiles(), exitOK, "stopped")
			if (bar != nil) != test.want {
				t.Errorf("there is a bar: %v", bar != nil)
			}
			if strings.Contains(h.log.String(), "\x1b") {
				t.Errorf("without anything to show it steers the terminal: %q", h.log.String())
			}
		})
	}
}
