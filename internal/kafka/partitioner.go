package kafka

import "github.com/twmb/franz-go/pkg/kgo"

// TaskPartitioner serves a task's single producer, which writes rows and
// positions in one transaction. Records of offsetsTopic go to the partition
// they name, which is the task's. All others go where the Java client's
// default partitioner would put them: murmur2 of the key, or one sticky
// partition per batch when there is no key.
func TaskPartitioner(offsetsTopic string) kgo.Partitioner {
	return taskPartitioner{
		offsetsTopic: offsetsTopic,
		offsets:      kgo.ManualPartitioner(),
		rows:         kgo.StickyKeyPartitioner(nil),
	}
}

type taskPartitioner struct {
	offsetsTopic  string
	offsets, rows kgo.Partitioner
}

func (p taskPartitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if topic == p.offsetsTopic {
		return p.offsets.ForTopic(topic)
	}
	return p.rows.ForTopic(topic)
}
