package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// worker is a running process of the program with one connector, named c.
type worker struct {
	*testenv.Process
	dir string
}

// startWorker runs the program on a table. The lines are added to the two files.
func (b *bench) startWorker(group, table, topic, workerLines, connectorLines string) (*worker, error) {
	dir, err := os.MkdirTemp("", "k2k-bench-")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"worker.yaml": fmt.Sprintf("bootstrap.servers: %s\ngroup.id: %s\n%s", b.kafka.BootstrapServers(), group, workerLines),
		"connector.yaml": fmt.Sprintf("name: c\nkudu.masters: %s\nkudu.table: %s\ntopic: %s\n%s",
			b.kudu.MasterArg(), table, topic, connectorLines),
	}
	if !strings.Contains(connectorLines, "mode: ") {
		files["connector.yaml"] += "mode: offset\n"
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	p, err := testenv.StartProcess(testenv.Command{
		Name: "kudu2kafka", Path: b.binary, Log: filepath.Join(dir, "log"),
		Args: []string{"run", filepath.Join(dir, "worker.yaml"), filepath.Join(dir, "connector.yaml")},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &worker{Process: p, dir: dir}, nil
}

// drop ends the worker, however it is, and removes its files.
func (w *worker) drop() {
	_ = w.Kill()
	_ = os.RemoveAll(w.dir)
}

// finish ends the worker as an operator would.
func (w *worker) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	if code, err := w.Terminate(ctx); err != nil || code != 0 {
		return fmt.Errorf("the worker exited with code %d: %w", code, err)
	}
	return nil
}

// tail is the end of the worker's log, for errors.
func (w *worker) tail() string { return testenv.Tail(w.Log(), 30) }

// awaitLine gives the time at which the worker logged a line with the text.
func (w *worker) awaitLine(ctx context.Context, text string, within time.Duration) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	line, err := w.WaitLine(ctx, func(line string) bool { return strings.Contains(line, text) })
	if err != nil {
		return time.Time{}, fmt.Errorf("waiting for %q: %w; end of the log:\n%s", text, err, w.tail())
	}
	stamp, _, _ := strings.Cut(line, " ")
	return time.Parse("2006-01-02T15:04:05.000Z0700", stamp)
}

// loadAverage is how many programs want a processor, over the last minute.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	load, _, _ := strings.Cut(string(text), " ")
	return load
}
