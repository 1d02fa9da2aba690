package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/config"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

const (
	// startLimit is how long the connector may take from its start until it is
	// a member of its group.
	startLimit = time.Minute
	// settleLimit is how long the last rows may take to the topic.
	settleLimit = 15 * time.Second
	// countLimit is how long counting the table may take; who stops a demo with
	// very many rows does not want to wait.
	countLimit = 15 * time.Second
	// stopLimit is how long the connector may take to stop.
	stopLimit = 12 * time.Second
)

// demo is one showing. Its parts are nil until they have been started.
type demo struct {
	settings
	screen *screen

	kudu   *testenv.Kudu
	kafka  *testenv.Kafka
	tool   *testenv.KuduTool
	env    map[string]string // what the YAML files refer to
	worker connector.WorkerConfig
	conn   connector.Config
	run2k  *testenv.Process
	view   view
}

// run starts everything, shows it, and has stopped everything when it returns.
// An end of ctx is no error.
func (d *demo) run(ctx context.Context) (err error) {
	defer func() {
		err = errors.Join(err, d.close())
	}()
	err = d.start(ctx)
	if err == nil {
		err = d.watch(ctx)
	} else if ctx.Err() != nil {
		d.screen.say("stopped before it began")
		err = nil
	}
	return err
}

// start brings up the servers, the table and the connector.
func (d *demo) start(ctx context.Context) error {
	d.announce()
	var servers errgroup.Group
	servers.Go(func() (err error) {
		d.kudu, err = testenv.StartKudu(ctx, testenv.KuduConfig{})
		return err
	})
	servers.Go(func() (err error) {
		d.kafka, err = testenv.StartKafka(ctx, testenv.KafkaConfig{})
		return err
	})
	if err := servers.Wait(); err != nil {
		return err
	}
	var err error
	if d.tool, err = testenv.StartKuduTool(ctx, d.kudu.Masters()); err != nil {
		return err
	}
	d.env = map[string]string{
		"K2K_BOOTSTRAP_SERVERS": d.kafka.BootstrapServers(),
		"K2K_KUDU_MASTERS":      strings.Join(d.kudu.Masters(), ","),
	}
	if err := d.readConfig(); err != nil {
		return err
	}
	d.screen.say("Kudu is at %s, Kafka at %s", strings.Join(d.kudu.Masters(), ","), d.kafka.BootstrapServers())
	if err := d.createTable(ctx); err != nil {
		return err
	}
	d.screen.say("table %s is made; running kudu2kafka with %s and %s", d.conn.KuduTable, d.scene.worker, d.scene.connector)
	return d.startConnector(ctx)
}

// announce says what is about to happen, above all when it takes long.
func (d *demo) announce() {
	cache, err := testenv.CacheDir()
	if err != nil {
		return // starting the servers will say so
	}
	for _, name := range []string{"kudu-" + testenv.KuduVersion, "kafka-" + testenv.KafkaVersion, "kudu-client-" + testenv.KuduVersion} {
		if _, err := os.Stat(filepath.Join(cache, name)); err != nil {
			d.screen.say("first use: downloading Kudu %s and Kafka %s with Maven, once: about 120 MB, kept in %s (200 MB)",
				testenv.KuduVersion, testenv.KafkaVersion, cache)
			return
		}
	}
	d.screen.say("starting Kudu %s and Kafka %s", testenv.KuduVersion, testenv.KafkaVersion)
}

func (d *demo) files() (worker, conn string) {
	return filepath.Join(d.configs, d.scene.worker), filepath.Join(d.configs, d.scene.connector)
}

// readConfig reads what the connector will read, to know names.
func (d *demo) readConfig() error {
	worker, conn := d.files()
	cfg, conns, err := config.Load(worker, []string{conn}, func(name string) (string, bool) {
		value, set := d.env[name]
		return value, set
	})
	if err != nil {
		return fmt.Errorf("reading the demo's configuration:\n%w", err)
	}
	d.worker, d.conn = cfg, conns[0]
	return nil
}

func (d *demo) createTable(ctx context.Context) error {
	if d.scene.queue() {
		return d.createQueue(ctx)
	}
	return d.tool.CreateTable(ctx, testenv.TableSpec{
		Name: d.conn.KuduTable,
		Columns: []testenv.ColumnSpec{
			{Name: "event_time", Type: "UNIXTIME_MICROS", Key: true},
			{Name: "id", Type: "INT64", Key: true},
			{Name: "user", Type: "STRING"},
			{Name: "amount", Type: "DOUBLE"},
		},
		Hash: []testenv.HashSpec{{Columns: []string{"id"}, Buckets: 4}},
	})
}

// startConnector runs the binary and waits until it has joined its group.
func (d *demo) startConnector(ctx context.Context) error {
	worker, conn := d.files()
	var env []string
	for name, value := range d.env {
		env = append(env, name+"="+value)
	}
	p, err := testenv.StartProcess(testenv.Command{
		Name: "kudu2kafka", Path: d.binary, Args: []string{"run", worker, conn}, Env: env,
		// Beside the broker's data, with which it goes.
		Log: filepath.Join(d.kafka.Dir(), "kudu2kafka.log"),
	})
	if err != nil {
		return err
	}
	d.run2k = p
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	_, err = p.WaitLine(ctx, func(line string) bool { return strings.Contains(line, "connector started") })
	return err
}

// watch shows the rows until the time is over, ctx ends or something fails,
// then ends the writer, compares, and ends the connector and the watchers.
func (d *demo) watch(ctx context.Context) error {
	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	failed := make(chan error, 8) // as many as goroutines; none waits to be heard

	var writer, watchers sync.WaitGroup
	writer.Go(func() {
		if err := d.write(writing); err != nil && writing.Err() == nil {
			failed <- fmt.Errorf("the writer failed: %w", err)
		}
	})
	looks := []func(context.Context) error{d.consume, d.lookAtPositions, d.lookAtWarnings}
	if d.scene.queue() {
		looks = append(looks, d.lookAtQueue)
	}
	for _, look := range looks {
		watchers.Go(func() {
			if err := look(watching); err != nil && watching.Err() == nil {
				failed <- err
			}
		})
	}
	err := d.show(ctx, failed)
	if err == nil {
		d.screen.say("stopping: the writer first, then the connector when it has the last rows")
	}
	stopWriting()
	writer.Wait()
	if err == nil {
		err = d.compare(watching, failed)
	}
	if err == nil {
		err = d.stopConnector()
	}
	stopWatching()
	watchers.Wait()
	return err
}

// show redraws until the demo is to end. The time that it is to take begins when there
// is something to see of all there is, or that takes too long.
func (d *demo) show(ctx context.Context, failed <-chan error) error {
	redraw := time.NewTicker(d.screen.interval())
	defer redraw.Stop()
	began := time.Now()
	var over <-chan time.Time
	if d.length == 0 {
		d.screen.say("Ctrl-C ends it")
	}
	for {
		select {
		case <-redraw.C:
			if err := d.screen.draw(d.view.lines(time.Now())); err != nil {
				return fmt.Errorf("writing: %w", err)
			}
			if d.length > 0 && over == nil && (d.view.whole() || time.Since(began) > startLimit) {
				over = time.After(d.length)
			}
		case <-over:
			return nil
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-d.run2k.Done():
			return fmt.Errorf("kudu2kafka ended by itself with exit code %d:\n%s", d.run2k.ExitCode(), testenv.Tail(d.run2k.Log(), 20))
		}
	}
}

// write inserts rows, each second as many as the rate says, until ctx ends.
func (d *demo) write(ctx context.Context) error {
	if d.scene.queue() {
		return d.writeJobs(ctx)
	}
	_, err := d.tool.Generate(ctx, testenv.GenerateOptions{
		Table: d.conn.KuduTable, Kind: d.scene.kind, Rows: 1 << 50, Rate: d.rate, Clock: true,
	}, func(total testenv.Written) error {
		d.view.wrote(total.Rows)
		if len(total.Errors) > 0 {
			return fmt.Errorf("a row was refused: %s", total.Errors[0].Message)
		}
		return nil
	})
	return err
}

// compare waits until the topic has as many rows as the table, as the Java
// client counts them, and says whether each came once.
func (d *demo) compare(ctx context.Context, failed <-chan error) error {
	if d.scene.queue() {
		return d.compareQueue(ctx, failed)
	}
	inTable, err := d.countTable(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		d.screen.say("counting the table's rows takes too long, so the topic isn't compared with it")
		return nil
	} else if err != nil {
		return err
	}
	late := time.NewTimer(settleLimit)
	defer late.Stop()
	for {
		count, grown := d.view.topicRows()
		if count.rows > inTable {
			// The last rows may have been under way when the writer was stopped.
			if inTable, err = d.countTable(ctx); err != nil {
				return err
			}
		}
		switch {
		case count.twice > 0:
			return fmt.Errorf("the topic has %d rows twice", count.twice)
		case count.rows > inTable:
			return fmt.Errorf("the topic has %d rows, the table %d", count.rows, inTable)
		case count.rows == inTable:
			if err := d.screen.draw(d.view.lines(time.Now())); err != nil {
				return fmt.Errorf("writing: %w", err)
			}
			d.screen.say("the table has %d rows, the topic %d: each once", inTable, count.rows)
			return nil
		}
		select {
		case <-grown:
		case err := <-failed:
			return err
		case <-d.run2k.Done():
			return fmt.Errorf("kudu2kafka ended by itself with exit code %d:\n%s", d.run2k.ExitCode(), testenv.Tail(d.run2k.Log(), 20))
		case <-late.C:
			return fmt.Errorf("the table has %d rows, the topic only %d, %v after the last was written", inTable, count.rows, settleLimit)
		}
	}
}

// countTable counts the table's rows, within countLimit.
func (d *demo) countTable(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, countLimit)
	defer cancel()
	return d.countRows(ctx)
}

// stopConnector ends the connector as an operator would.
func (d *demo) stopConnector() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	code, err := d.run2k.Terminate(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("kudu2kafka stopped with exit code %d:\n%s", code, testenv.Tail(d.run2k.Log(), 20))
	}
	return err
}

// close ends all processes, whatever they do, and removes all data.
func (d *demo) close() error {
	var errs []error
	if d.run2k != nil {
		errs = append(errs, d.run2k.Kill())
	}
	if d.tool != nil {
		errs = append(errs, d.tool.Close())
	}
	if d.kafka != nil {
		errs = append(errs, d.kafka.Close())
	}
	if d.kudu != nil {
		errs = append(errs, d.kudu.Close())
	}
	return errors.Join(errs...)
}
