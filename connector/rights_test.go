package connector

import (
	"fmt"
	"slices"
	"testing"
)

func TestRightsInKafkaAreWhatTheCodeSends(t *testing.T) {
	w, c := DefaultWorkerConfig(), DefaultConfig()
	w.GroupID, c.Name, c.Topic, c.TasksMax = "g", "c", "rows", 2
	list := func(tasks int) (all []string) {
		for _, r := range append(KafkaRights(w, c, tasks), WorkerRights(w)...) {
			text := r.String()
			if r.Optional {
				text += ", optional"
			}
			if r.Instead != nil {
				text += fmt.Sprintf(", or %s", r.Instead)
			}
			all = append(all, text)
		}
		return all
	}
	want := []string{
		"WRITE on TOPIC rows",
		"CREATE on TOPIC rows, or CREATE on CLUSTER kafka-cluster",
		"DESCRIBE_CONFIGS on TOPIC rows, optional",
		"WRITE on TOPIC g-c-offsets",
		"READ on TOPIC g-c-offsets",
		"DESCRIBE_CONFIGS on TOPIC g-c-offsets, optional",
		"CREATE on TOPIC g-c-offsets, or CREATE on CLUSTER kafka-cluster",
		"ALTER on TOPIC g-c-offsets, optional",
		"READ on GROUP g-c",
		"WRITE on TRANSACTIONAL_ID g-c-0",
		"WRITE on TRANSACTIONAL_ID g-c-1",
		"WRITE on TRANSACTIONAL_ID g-c-plan",
		"WRITE on TOPIC g-configs",
		"READ on TOPIC g-configs",
		"CREATE on TOPIC g-configs, or CREATE on CLUSTER kafka-cluster",
		"DESCRIBE_CONFIGS on TOPIC g-configs, optional",
		"WRITE on TOPIC g-status",
		"READ on TOPIC g-status",
		"CREATE on TOPIC g-status, or CREATE on CLUSTER kafka-cluster",
		"DESCRIBE_CONFIGS on TOPIC g-status, optional",
		"DESCRIBE_CONFIGS on CLUSTER kafka-cluster, optional",
	}
	if got := list(0); !slices.Equal(got, want) {
		t.Errorf("the rights are\n%q\nnot\n%q", got, want)
	}
	// Partitions that are left from a time of more tasks are fenced too.
	if got := list(3); !slices.Contains(got, "WRITE on TRANSACTIONAL_ID g-c-2") {
		t.Errorf("the rights are %q", got)
	}
	w.TopicCreationEnable = false
	for _, r := range list(0) {
		if r == "CREATE on TOPIC rows" || r == "DESCRIBE_CONFIGS on TOPIC rows, optional" {
			t.Errorf("without topic.creation.enable: %s", r)
		}
	}
}

func TestTheNarrowestBrokersLimitsCount(t *testing.T) {
	l := make(BrokerLimits)
	for _, kv := range [][2]string{
		{sessionLeast, "6000"}, {sessionLeast, "7000"}, {sessionLeast, "5000"},
		{transactionMax, "900000"}, {transactionMax, "60000"}, {transactionMax, "70000"}, {"other", "1"}, {sessionGreatest, "none"},
	} {
		l.note(kv[0], kv[1])
	}
	if len(l) != 2 || l[sessionLeast].Milliseconds() != 7000 || l[transactionMax].Milliseconds() != 60000 {
		t.Errorf("the limits are %v", l)
	}
	w := DefaultWorkerConfig()
	if faults := l.CheckWorker(w); len(faults) != 0 {
		t.Errorf("faults are %v", faults)
	}
	w.SessionTimeout = l[sessionLeast] - 1
	if faults := l.CheckWorker(w); len(faults) != 1 || faults[0].Key != "session.timeout.ms" {
		t.Errorf("faults are %v", faults)
	}
	c := DefaultConfig()
	c.TransactionTimeout = l[transactionMax] + 1
	if faults := l.CheckConnector(c); len(faults) != 1 || faults[0].Key != "transaction.timeout.ms" {
		t.Errorf("faults are %v", faults)
	}
	var unknown BrokerLimits
	if unknown.CheckWorker(w) != nil || unknown.CheckConnector(c) != nil {
		t.Error("limits that aren't known are exceeded")
	}
}
