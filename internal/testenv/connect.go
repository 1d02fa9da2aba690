package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// log4jVersion is the one that Kafka is shipped with. The worker's loggers can
// be listed and set (GET and PUT /admin/loggers) only with it.
const log4jVersion = "2.24.3"

// ConnectConfig says what StartConnect starts.
type ConnectConfig struct {
	// BootstrapServers is the Kafka cluster of the worker's own topics and of its
	// connectors.
	BootstrapServers string
	// Properties are added to the worker's and override its defaults.
	Properties map[string]string
}

// Connect is a running worker of Kafka Connect in distributed mode, with the
// connectors FileStreamSource and FileStreamSink.
type Connect struct {
	*Server
	data  *dataDir
	ports ports
}

// StartConnect starts a worker and returns when it answers. Close must be called.
func StartConnect(ctx context.Context, config ConnectConfig) (*Connect, error) {
	lib, err := fetchConnect(ctx)
	if err != nil {
		return nil, err
	}
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	data, err := newDataDir(ctx)
	if err != nil {
		return nil, err
	}
	c := &Connect{Server: &Server{}, data: data}
	if err := c.start(ctx, java, lib, config); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Kafka Connect: %w", err), c.Close())
	}
	return c, nil
}

// fetchConnect returns the folder of the worker's jars.
func fetchConnect(ctx context.Context) (string, error) {
	return fetchJars(ctx, "connect-"+KafkaVersion,
		artifact{"org.apache.kafka", "connect-runtime", KafkaVersion},
		artifact{"org.apache.kafka", "connect-file", KafkaVersion},
		artifact{"org.apache.logging.log4j", "log4j-core", log4jVersion},
		artifact{"org.apache.logging.log4j", "log4j-slf4j-impl", log4jVersion})
}

func (c *Connect) start(ctx context.Context, java, lib string, config ConnectConfig) error {
	addr, err := c.ports.takeAddr()
	if err != nil {
		return err
	}
	properties := filepath.Join(c.data.path, "worker.properties")
	if err := os.WriteFile(properties, []byte(renderConnect(addr, config)), 0o644); err != nil {
		return fmt.Errorf("writing the worker's configuration: %w", err)
	}
	logging := filepath.Join(c.data.path, "log4j2.xml")
	if err := os.WriteFile(logging, []byte(connectLogging), 0o644); err != nil {
		return fmt.Errorf("writing the worker's configuration: %w", err)
	}
	c.Server = &Server{
		addr:  addr,
		ready: func(ctx context.Context) error { return pingConnect(ctx, addr) },
		command: Command{
			Name: "connect",
			Path: java,
			Args: []string{
				"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
				"-Dlog4j2.configurationFile=" + logging,
				"-cp", filepath.Join(lib, "*"),
				"org.apache.kafka.connect.cli.ConnectDistributed", properties,
			},
			Log: filepath.Join(c.data.path, "connect.log"),
		},
	}
	if err := c.Server.start(); err != nil {
		return err
	}
	return c.waitReady(ctx)
}

const connectLogging = `<Configuration>
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
`

// renderConnect is the configuration of a worker that is alone in its group.
func renderConnect(addr string, config ConnectConfig) string {
	properties := map[string]string{
		"bootstrap.servers":                 config.BootstrapServers,
		"group.id":                          "connect",
		"listeners":                         "http://" + addr,
		"key.converter":                     "org.apache.kafka.connect.json.JsonConverter",
		"value.converter":                   "org.apache.kafka.connect.json.JsonConverter",
		"config.storage.topic":              "connect-configs",
		"offset.storage.topic":              "connect-offsets",
		"status.storage.topic":              "connect-status",
		"config.storage.replication.factor": "1",
		"offset.storage.replication.factor": "1",
		"status.storage.replication.factor": "1",
		"offset.storage.partitions":         "1",
		"status.storage.partitions":         "1",
		"offset.flush.interval.ms":          "500",
		// Rebalances of one worker have nobody to wait for.
		"scheduled.rebalance.max.delay.ms": "0",
	}
	maps.Copy(properties, config.Properties)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&b, "%s=%s\n", key, properties[key])
	}
	return b.String()
}

// pingConnect asks the worker for its health.
func pingConnect(ctx context.Context, addr string) error {
	// A client costs more than a refused connection.
	if err := dial(ctx, addr); err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/health", nil)
	if err != nil {
		return permanent(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("the worker says: %s %s", response.Status, text)
	}
	return nil
}

// URL is the root of the worker's REST interface.
func (c *Connect) URL() string { return "http://" + c.Addr() }

// Dir returns the worker's folder, where connectors may keep files. Close
// removes it.
func (c *Connect) Dir() string { return c.data.path }

// Close kills the worker and removes its data. It may be called more than once.
func (c *Connect) Close() error {
	return errors.Join(killAll([]*Server{c.Server}), c.data.remove(), c.ports.close())
}
