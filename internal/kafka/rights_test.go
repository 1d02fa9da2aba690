package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestDenialNamesUserAndRight(t *testing.T) {
	o := Options{Security: Security{Protocol: SASLSSL, Mechanism: ScramSHA512, Username: "conn"}}
	err := o.As(fmt.Errorf("reading: %w", Denied(kerr.TopicAuthorizationFailed, TopicRights("rows", "READ", "WRITE")...)))
	if text := err.Error(); !strings.HasPrefix(text, "as User:conn: reading: TOPIC_AUTHORIZATION_FAILED") ||
		!strings.HasSuffix(text, ": this needs the right READ on TOPIC rows and WRITE on TOPIC rows") {
		t.Errorf("the text is %q", text)
	}
	if !errors.Is(err, ErrPermanent) || !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Errorf("%v has lost its class", err)
	}
	var denied *DeniedError
	if !errors.As(err, &denied) || len(denied.Needs) != 2 {
		t.Errorf("the rights are %+v", denied)
	}
	// What is said already stands.
	if again := o.As(Denied(err, Right{"WRITE", ResourceTopic, "other"})); again.Error() != err.Error() {
		t.Errorf("said twice: %v", again)
	}
	if other := o.As(Denied(kerr.NotLeaderForPartition, TopicRights("rows", "READ")...)); other.Error() != kerr.NotLeaderForPartition.Error() {
		t.Errorf("no denial: %v", other)
	}
	if unknown := (Options{}).As(Denied(kerr.GroupAuthorizationFailed, Right{"READ", ResourceGroup, "g"})); !strings.HasPrefix(unknown.Error(), "GROUP_AUTHORIZATION_FAILED") {
		t.Errorf("nobody knows the user: %v", unknown)
	}
	if old := DeniedWrite(kerr.ClusterAuthorizationFailed, "rows"); !strings.HasSuffix(old.Error(), "IDEMPOTENT_WRITE on CLUSTER kafka-cluster") {
		t.Errorf("got %v", old)
	}
}

func TestRightsAreGrantedByFewCommands(t *testing.T) {
	rights := append(TopicRights("rows", "WRITE"), TopicRights("offsets", "WRITE", "READ", "READ")...)
	rights = append(rights, TopicRights("configs", "READ", "WRITE")...)
	rights = append(rights, Right{"READ", ResourceGroup, "it's mine"}, Right{"WRITE", ResourceTransactionalID, "g-0"},
		Right{"WRITE", ResourceTransactionalID, "g-1"}, Right{"DESCRIBE_CONFIGS", ResourceCluster, ClusterName})
	got := Grants("a:1,b:2", "User:CN=connect,O=x y", rights)
	const head = "kafka-acls.sh --bootstrap-server a:1,b:2 --add --allow-principal 'User:CN=connect,O=x y' --operation "
	want := []string{
		head + "Write --topic rows",
		head + "Read --operation Write --topic offsets --topic configs",
		head + `Read --group 'it'\''s mine'`,
		head + "Write --transactional-id g-0 --transactional-id g-1",
		head + "DescribeConfigs --cluster",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the commands are\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
