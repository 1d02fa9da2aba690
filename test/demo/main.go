// Command demo shows kudu2kafka at work, on servers that it starts itself:
// "make demo" builds and runs it. It makes a table in Kudu, keeps a writer
// inserting rows through Kudu's Java client, runs the connector of configs/ and
// shows what a read_committed consumer finds in the topic. When it ends, it
// compares the topic with the table. With MODE=sweep the table is a queue of jobs
// that become due, are published in their order, and are deleted.
//
// DEMO_SECONDS ends it by itself, after so many seconds of rows, DEMO_RATE is how many rows the writer inserts
// each second, MODE is the connector's mode. The exit code is 0 when it ended
// by itself or by a signal and the topic had each row once, else 1.
//
// Nothing is left behind: servers, writer and connector are children in process
// groups of their own, so that Ctrl-C reaches this program alone, which stops
// them in order; and they die with it if it is killed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// settings are what a user can choose.
type settings struct {
	binary  string        // path of kudu2kafka
	configs string        // folder of the YAML files
	length  time.Duration // 0: until a signal
	rate    int64         // rows per second
	scene   scene
}

// scene is what the demo shows, one for each mode.
type scene struct {
	worker, connector string // file names
	kind              string // of rows, see testenv.GenerateOptions; empty: a queue
}

// queue says that the rows are jobs, which are swept once they are published.
func (s scene) queue() bool { return s.kind == "" }

var scenes = map[string]scene{
	"offset": {worker: "demo-worker.yaml", connector: "demo-orders.yaml", kind: "narrow"},
	"sweep":  {worker: "demo-worker.yaml", connector: "retry-queue.yaml"},
}

const (
	defaultRate = 1000
	maxRate     = 1_000_000
)

func main() {
	s, err := readSettings(os.Args[1:], os.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		err = play(s)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// play runs the demo until it ends or a signal comes. A second signal ends the
// process at once, and with it its children.
func play(s settings) error {
	ctx, restore := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer restore()
	context.AfterFunc(ctx, restore)
	// When nobody reads the output any more, writing is to fail, not to kill.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return (&demo{settings: s, screen: newScreen(os.Stdout)}).run(ctx)
}

// readSettings returns what flags and environment say.
func readSettings(args []string, env func(string) string) (settings, error) {
	s := settings{rate: defaultRate}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/kudu2kafka", "the kudu2kafka to show")
	flags.StringVar(&s.configs, "configs", "configs", "folder of the YAML files")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if text := env("DEMO_SECONDS"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds > 0 && seconds <= 1e6) {
			return s, fmt.Errorf("DEMO_SECONDS=%s: give the number of seconds to show, such as 20", text)
		}
		s.length = time.Duration(seconds * float64(time.Second))
	}
	if text := env("DEMO_RATE"); text != "" {
		rate, err := strconv.ParseInt(text, 10, 64)
		if err != nil || rate < 1 || rate > maxRate {
			return s, fmt.Errorf("DEMO_RATE=%s: give the rows to insert per second, 1..%d", text, maxRate)
		}
		s.rate = rate
	}
	mode := env("MODE")
	if mode == "" {
		mode = "offset"
	}
	var known bool
	if s.scene, known = scenes[mode]; !known {
		return s, fmt.Errorf("MODE=%s: the demo shows the modes offset and sweep", mode)
	}
	// Say so now rather than after the servers have been started.
	for _, path := range []string{s.binary, filepath.Join(s.configs, s.scene.worker), filepath.Join(s.configs, s.scene.connector)} {
		if _, err := os.Stat(path); err != nil {
			return s, fmt.Errorf("%w (is this the project's folder? \"make demo\" builds what is missing)", err)
		}
	}
	return s, nil
}
