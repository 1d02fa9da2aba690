package testenv

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KafkaConfig says what StartKafka starts.
type KafkaConfig struct {
	// Properties are added to server.properties and override its defaults.
	Properties map[string]string
	// JVMFlags are added to the broker's, such as -Xmx4g.
	JVMFlags []string
	// Proxy, if set, is given the address of a second listener, and returns the
	// one that the broker advertises for it: clients that begin there stay on
	// the way through the caller's proxy. BootstrapServers is the direct way.
	Proxy func(addr string) (string, error)
	// Security, if set, adds listeners that ask clients who they are. Not with Proxy.
	Security *KafkaSecurity
}

// Kafka is a running broker that is its own controller (KRaft). The embedded
// Server kills, pauses and restarts it.
type Kafka struct {
	*Server
	data    *dataDir
	ports   ports
	secured *Secured
}

// StartKafka starts a broker and returns when it serves. Close must be called.
func StartKafka(ctx context.Context, config KafkaConfig) (*Kafka, error) {
	lib, err := fetchKafka(ctx)
	if err != nil {
		return nil, err
	}
	java, err := findJava(ctx)
	if err != nil {
		return nil, err
	}
	archive, err := kafkaArchive(ctx, java, lib)
	if err != nil {
		return nil, err
	}
	config.JVMFlags = append(archive, config.JVMFlags...)
	return startKafka(ctx, java, lib, config)
}

func startKafka(ctx context.Context, java, lib string, config KafkaConfig) (*Kafka, error) {
	data, err := newDataDir(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kafka{Server: &Server{}, data: data}
	if err := k.start(ctx, java, lib, config); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Kafka: %w", err), k.Close())
	}
	return k, nil
}

func (k *Kafka) start(ctx context.Context, java, lib string, config KafkaConfig) error {
	addr, err := k.ports.takeAddr()
	if err != nil {
		return err
	}
	controller, err := k.ports.takeAddr()
	if err != nil {
		return err
	}
	extra, err := k.proxied(addr, controller, config)
	if err != nil {
		return err
	}
	var formatFlags []string
	if config.Security != nil {
		if config.Proxy != nil {
			return errors.New("secured listeners behind a proxy aren't provided for")
		}
		secured, jvm, flags, err := k.secure(ctx, addr, controller, config.Security)
		if err != nil {
			return err
		}
		maps.Copy(secured, extra)
		extra, formatFlags, config.JVMFlags = secured, flags, append(jvm, config.JVMFlags...)
	}
	properties := k.file("server.properties")
	text := renderProperties(addr, controller, k.file("kafka"), extra)
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the broker's configuration: %w", err)
	}
	classPath := filepath.Join(lib, "*")
	if config.Security != nil && config.Security.Audit {
		first, flag, err := k.audit(ctx)
		if err != nil {
			return err
		}
		classPath, config.JVMFlags = first+classPath, append(config.JVMFlags, flag)
	}
	id, err := clusterID()
	if err != nil {
		return err
	}
	// The client compiler is quickest for a program this short.
	format := exec.CommandContext(ctx, java, append([]string{"-XX:TieredStopAtLevel=1", "-cp", classPath,
		"kafka.tools.StorageTool", "format", "-t", id, "-c", properties}, formatFlags...)...)
	format.SysProcAttr = childAttributes()
	if err := runLocked(format); err != nil {
		return fmt.Errorf("formatting storage: %w", err)
	}
	args := append([]string{"-Xmx1g"}, config.JVMFlags...)
	k.Server = &Server{
		addr:  addr,
		ready: func(ctx context.Context) error { return pingKafka(ctx, addr) },
		command: Command{
			Name: "kafka",
			Path: java,
			Args: append(args, "-cp", classPath, "kafka.Kafka", properties),
			Log:  k.file("kafka.log"),
		},
	}
	if err := k.Server.start(); err != nil {
		return err
	}
	return k.waitReady(ctx)
}

// proxied gives the properties that config adds, with those of the listener
// behind its proxy.
func (k *Kafka) proxied(addr, controller string, config KafkaConfig) (map[string]string, error) {
	if config.Proxy == nil {
		return config.Properties, nil
	}
	behind, err := k.ports.takeAddr()
	if err != nil {
		return nil, err
	}
	before, err := config.Proxy(behind)
	if err != nil {
		return nil, fmt.Errorf("placing the broker behind a proxy: %w", err)
	}
	properties := map[string]string{
		"listeners":                      "PLAINTEXT://" + addr + ",PROXIED://" + behind + ",CONTROLLER://" + controller,
		"advertised.listeners":           "PLAINTEXT://" + addr + ",PROXIED://" + before,
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT",
		"inter.broker.listener.name":     "PLAINTEXT",
	}
	maps.Copy(properties, config.Properties)
	return properties, nil
}

// renderProperties is the configuration of a single node.
func renderProperties(addr, controller, dir string, extra map[string]string) string {
	properties := map[string]string{
		"process.roles":                            "broker,controller",
		"node.id":                                  "1",
		"controller.quorum.voters":                 "1@" + controller,
		"listeners":                                "PLAINTEXT://" + addr + ",CONTROLLER://" + controller,
		"advertised.listeners":                     "PLAINTEXT://" + addr,
		"controller.listener.names":                "CONTROLLER",
		"listener.security.protocol.map":           "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"log.dirs":                                 dir,
		"offsets.topic.replication.factor":         "1",
		"offsets.topic.num.partitions":             "4",
		"transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":            "1",
		"transaction.state.log.num.partitions":     "4",
		"group.initial.rebalance.delay.ms":         "0",
		// A broker that was killed may not come back before its session ends,
		// by default 9 s later.
		"broker.session.timeout.ms":    "3000",
		"broker.heartbeat.interval.ms": "500",
	}
	for key, value := range extra {
		properties[key] = value
	}
	var lines []string
	for key, value := range properties {
		lines = append(lines, key+"="+value+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// clusterID returns a random id in Kafka's form: 16 bytes in URL-safe base64
// without padding. A leading dash would look like a flag.
func clusterID() (string, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("making a cluster id: %w", err)
	}
	id[0] &= 0x7f
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// pingKafka asks the broker for its metadata, which lists it only once the
// controller has let it in.
func pingKafka(ctx context.Context, addr string) error {
	// A client costs far more than a refused connection.
	if err := dial(ctx, addr); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0))
	if err != nil {
		return permanent(err)
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, broker := range response.Brokers {
		if net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port))) == addr {
			return nil
		}
	}
	return errors.New("the broker is not yet part of the cluster")
}

// BootstrapServers returns the broker's address as clients take it.
func (k *Kafka) BootstrapServers() string { return k.Addr() }

// Dir returns the broker's folder: data, configuration, log. Close removes it.
func (k *Kafka) Dir() string { return k.data.path }

// Close kills the broker, paused or not, and removes its data. It may be called
// more than once.
func (k *Kafka) Close() error {
	return errors.Join(killAll([]*Server{k.Server}), k.data.remove(), k.ports.close())
}
