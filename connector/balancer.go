package connector

import (
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// taskBalancer spreads the partitions of the offsets topic over the workers as
// cooperative-sticky does, but those of tasks by themselves and those that are
// left from a time of more tasks by themselves: Kafka can't take partitions away,
// and a worker could get idle ones for its share. The idle ones are still given
// to somebody, since a worker that was started with more tasks than the leader
// waits for them.
//
// Only the group's leader balances, by its own tasks.max. Name and metadata are
// those of cooperative-sticky, so that any worker can lead any other.
type taskBalancer struct {
	kgo.GroupBalancer // cooperative-sticky
	topic             string
	tasks             int32
}

func newTaskBalancer(topic string, tasks int32) *taskBalancer {
	return &taskBalancer{kgo.CooperativeStickyBalancer(), topic, tasks}
}

// MemberBalancer is called by the client when it leads the group.
func (b *taskBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	all, topics, err := b.GroupBalancer.MemberBalancer(members)
	if err != nil {
		return nil, nil, err
	}
	whole, ok := all.(*kgo.ConsumerBalancer)
	if !ok {
		return nil, nil, fmt.Errorf("balancing the group: a %T doesn't tell its members", all)
	}
	return &taskSpread{b, whole}, topics, nil
}

// taskSpread is one rebalance.
type taskSpread struct {
	*taskBalancer
	whole *kgo.ConsumerBalancer
}

// Balance is never called, see BalanceOrError.
func (s *taskSpread) Balance(map[string]int32) kgo.IntoSyncAssignment { return s.whole.NewPlan() }

// BalanceOrError gives the plan for so many partitions of each topic.
func (s *taskSpread) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	idle := topics[s.topic] - s.tasks
	if idle <= 0 {
		return s.whole.BalanceOrError(topics)
	}
	first := maps.Clone(topics)
	first[s.topic] = s.tasks
	plan := s.whole.NewPlan()
	if err := s.part(plan, first, 0, s.tasks); err != nil {
		return nil, err
	}
	return plan, s.part(plan, map[string]int32{s.topic: idle}, s.tasks, s.tasks+idle)
}

// part plans the partitions from one on up to another, as if the topic had no
// others. What the members own of them decides who keeps what.
func (s *taskSpread) part(plan *kgo.BalancePlan, topics map[string]int32, from, to int32) error {
	var members []kmsg.JoinGroupResponseMember
	s.whole.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		owned := make(map[string][]int32)
		for _, o := range meta.OwnedPartitions {
			for _, p := range o.Partitions {
				switch {
				case o.Topic != s.topic && from == 0:
					owned[o.Topic] = append(owned[o.Topic], p)
				case o.Topic == s.topic && p >= from && p < to:
					owned[o.Topic] = append(owned[o.Topic], p-from)
				}
			}
		}
		member := *m
		member.ProtocolMetadata = s.JoinGroupMetadata(meta.Topics, owned, meta.Generation)
		members = append(members, member)
	})
	sub, _, err := s.GroupBalancer.MemberBalancer(members)
	if err != nil {
		return err
	}
	done, err := sub.(*kgo.ConsumerBalancer).BalanceOrError(topics)
	if err != nil {
		return err
	}
	byMember := done.(*kgo.BalancePlan).AsMemberIDMap()
	s.whole.EachMember(func(m *kmsg.JoinGroupResponseMember, _ *kmsg.ConsumerMemberMetadata) {
		for topic, partitions := range byMember[m.MemberID] {
			for _, p := range partitions {
				if topic == s.topic {
					p += from
				}
				plan.AddPartition(m, topic, p)
			}
		}
	})
	return nil
}
