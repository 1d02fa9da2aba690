package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// kafkaTools are the programs of Kafka's distribution that WriteTools writes, with
// their main classes.
var kafkaTools = map[string]string{
	"kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"kafka-consumer-groups.sh":  "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"kafka-topics.sh":           "org.apache.kafka.tools.TopicCommand",
}

// WriteTools writes the tools of Kudu and Kafka into dir, as scripts by the names
// that users know them by.
func WriteTools(ctx context.Context, dir string) error {
	kudu, err := fetchKudu(ctx)
	if err != nil {
		return err
	}
	kafka, err := fetchKafka(ctx)
	if err != nil {
		return err
	}
	java, err := findJava(ctx)
	if err != nil {
		return err
	}
	scripts := map[string]string{
		"kudu": fmt.Sprintf("LD_LIBRARY_PATH='%s/lib' SASL_PATH='%[1]s/lib/sasl2' exec '%[1]s/bin/kudu' \"$@\"", kudu),
	}
	for name, class := range kafkaTools {
		scripts[name] = fmt.Sprintf("exec '%s' -Xmx256m -XX:TieredStopAtLevel=1 -cp '%s/*' %s \"$@\"", java, kafka, class)
	}
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			return fmt.Errorf("writing a tool: %w", err)
		}
	}
	return nil
}
