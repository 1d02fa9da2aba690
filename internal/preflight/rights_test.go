package preflight

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSettingsOfBrokersThatMayNotBeReadAreANote(t *testing.T) {
	w := newWorld(t)
	w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Count: -1, Err: kerr.ClusterAuthorizationFailed})
	r := w.check()
	r.want(t, Note, "kafka.limits", "session.timeout.ms", "the brokers' settings may not be read")
	r.wantNoWorseThan(t, Note)
}

func TestRightsThatKafkaDeniesAreErrors(t *testing.T) {
	allow := func(resource kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) (acls []kfake.ACL) {
		for _, op := range operations {
			acls = append(acls, kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: op, Allow: true})
		}
		return acls
	}
	topic, group, txn := kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeTransactionalId
	sound := func() (acls []kfake.ACL) {
		acls = append(acls, allow(topic, "rows", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationCreate, kmsg.ACLOperationDescribeConfigs)...)
		acls = append(acls, allow(topic, "g-", kmsg.ACLOperationWrite, kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationCreate, kmsg.ACLOperationDescribeConfigs)...)
		acls = append(acls, allow(group, "g-", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe)...)
		acls = append(acls, allow(txn, "g-", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe)...)
		return append(acls, kfake.ACL{Resource: kmsg.ACLResourceTypeCluster, Name: "kafka-cluster", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationDescribeConfigs, Allow: true})
	}
	for _, c := range []struct {
		name    string
		drop    func(kfake.ACL) bool
		says    string
		key     string
		level   Severity
		besides []string
	}{
		{"nothing missing", func(kfake.ACL) bool { return false }, "", "", Note, nil},
		{"write rows", func(a kfake.ACL) bool { return a.Name == "rows" && a.Operation == kmsg.ACLOperationWrite }, "lacks WRITE on TOPIC rows, for publishing rows", "", Error, nil},
		{"all of rows", func(a kfake.ACL) bool { return a.Name == "rows" }, "lacks CREATE on TOPIC rows", "", Warning, []string{"kafka.rights"}},
		{"read positions", func(a kfake.ACL) bool {
			return a.Resource == topic && a.Name == "g-" && a.Operation == kmsg.ACLOperationRead
		}, "lacks READ on TOPIC g-orders-offsets", "", Error, []string{"kafka.group-rights"}},
		{"settings of positions", func(a kfake.ACL) bool {
			return a.Resource == topic && a.Name == "g-" && a.Operation == kmsg.ACLOperationDescribeConfigs
		}, "lacks DESCRIBE_CONFIGS on TOPIC g-orders-offsets", "", Warning, []string{"kafka.group-rights"}},
		{"group", func(a kfake.ACL) bool { return a.Resource == group }, "lacks READ on GROUP g-orders, for sharing out the tasks", "", Error, nil},
		{"transactional ids", func(a kfake.ACL) bool { return a.Resource == txn }, "lacks WRITE on 3 transactional ids: g-orders-0, g-orders-1, g-orders-plan", "group.id", Error, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var acls []kfake.ACL
			for _, a := range sound() {
				if !c.drop(a) {
					acls = append(acls, a)
				}
			}
			// Who doesn't authenticate has this name.
			w := newWorld(t, kfake.EnableACLs(), kfake.User("PLAIN", "ANONYMOUS", "x", acls...))
			r := w.check()
			if c.says == "" {
				r.wantNoWorseThan(t, Note)
				return
			}
			r.want(t, c.level, "kafka.rights", c.key, c.says, c.besides...)
			if r.Failed() > 0 {
				t.Errorf("checks failed:\n%s", r.text(t))
			}
		})
	}
}

func TestRightsOnTheTopicsOfTheGroupAreTheWorkers(t *testing.T) {
	w := newWorld(t, kfake.EnableACLs(), kfake.User("PLAIN", "ANONYMOUS", "x",
		kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Name: "g-configs", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationWrite, Allow: true},
		kfake.ACL{Resource: kmsg.ACLResourceTypeCluster, Name: "kafka-cluster", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationCreate, Allow: true},
	))
	r := w.check()
	besides := []string{"kafka.group-rights", "kafka.rights", "serde.rows"}
	r.want(t, Error, "kafka.group-rights", "", "lacks READ on TOPIC g-configs, for following what operators ask of connectors", besides...)
	r.want(t, Error, "kafka.group-rights", "", "lacks WRITE on TOPIC g-status", besides...)
	r.want(t, Warning, "kafka.group-rights", "", "lacks DESCRIBE_CONFIGS on TOPIC g-status", besides...)
	for _, f := range r.Findings {
		if strings.Contains(f.Problem, "WRITE on TOPIC g-configs") || strings.Contains(f.Problem, "CREATE") {
			t.Errorf("a right is missed that is there: %+v", f)
		}
	}
}
