package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ResourceType is a kind of resource that Kafka's access control lists name.
type ResourceType string

// The types of resources, by Kafka's names.
const (
	ResourceTopic           ResourceType = "TOPIC"
	ResourceGroup           ResourceType = "GROUP"
	ResourceTransactionalID ResourceType = "TRANSACTIONAL_ID"
	ResourceCluster         ResourceType = "CLUSTER"
)

// ClusterName is the name of the only resource of type CLUSTER.
const ClusterName = "kafka-cluster"

// Right is one operation on one resource.
type Right struct {
	Operation string // by Kafka's name: READ, WRITE, CREATE, DESCRIBE, ALTER, DESCRIBE_CONFIGS, IDEMPOTENT_WRITE
	Resource  ResourceType
	Name      string // of the resource
}

func (r Right) String() string {
	return fmt.Sprintf("%s on %s %s", r.Operation, r.Resource, r.Name)
}

// TopicRights are some operations on a topic.
func TopicRights(topic string, operations ...string) []Right {
	var all []Right
	for _, o := range operations {
		all = append(all, Right{o, ResourceTopic, topic})
	}
	return all
}

// DeniedError is a refusal of Kafka's access control. Trying again is refused too,
// until somebody grants a right.
type DeniedError struct {
	// Needs are the rights that what was refused takes. Of several, at least one is
	// missing.
	Needs []Right
	err   error
}

func (e *DeniedError) Error() string {
	names := make([]string, len(e.Needs))
	for n, r := range e.Needs {
		names[n] = r.String()
	}
	return fmt.Sprintf("%v: this needs the right %s", e.err, strings.Join(names, " and "))
}

// Unwrap gives what Kafka has answered.
func (e *DeniedError) Unwrap() []error { return []error{e.err, ErrPermanent} }

var denials = []*kerr.Error{
	kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.GroupAuthorizationFailed,
}

// Denied says with an answer of Kafka's access control which rights were needed.
// Another error stays as it is, and so does one that says so already.
func Denied(err error, needs ...Right) error {
	var said *DeniedError
	if err == nil || errors.As(err, &said) || !slices.ContainsFunc(denials, func(d *kerr.Error) bool { return errors.Is(err, d) }) {
		return err
	}
	return &DeniedError{Needs: needs, err: err}
}

// DeniedWrite is Denied for what is sent to a topic by a client without a
// transactional id, to which brokers before 3.0 may refuse to give a producer id.
func DeniedWrite(err error, topic string) error {
	if errors.Is(err, kerr.ClusterAuthorizationFailed) {
		return Denied(err, Right{"IDEMPOTENT_WRITE", ResourceCluster, ClusterName})
	}
	return Denied(err, TopicRights(topic, "WRITE")...)
}

// As puts in front of a denial who was denied, if that is known.
func (o Options) As(err error) error {
	var denied *DeniedError
	var named *asError
	if !errors.As(err, &denied) || o.Principal() == "" || errors.As(err, &named) {
		return err
	}
	return &asError{o.Principal(), err}
}

type asError struct {
	principal string
	err       error
}

func (e *asError) Error() string { return fmt.Sprintf("as %s: %v", e.principal, e.err) }

func (e *asError) Unwrap() error { return e.err }

// Grants are the commands that grant rights to a principal, such as User:connect,
// by kafka-acls.sh of the brokers at servers. One command names all resources of a
// type that need the same operations; the order is that of the rights.
func Grants(servers, principal string, rights []Right) []string {
	type resource struct {
		of   ResourceType
		name string
	}
	operations := make(map[resource][]string)
	var order []resource
	for _, r := range rights {
		at := resource{r.Resource, r.Name}
		if operations[at] == nil {
			order = append(order, at)
		}
		if op := aclOperation(r.Operation); !slices.Contains(operations[at], op) {
			operations[at] = append(operations[at], op)
		}
	}
	type command struct {
		of         ResourceType
		operations string
	}
	lines := make(map[command]string)
	var commands []command
	for _, at := range order {
		slices.Sort(operations[at])
		c := command{at.of, strings.Join(operations[at], " --operation ")}
		if lines[c] == "" {
			commands = append(commands, c)
			lines[c] = fmt.Sprintf("kafka-acls.sh --bootstrap-server %s --add --allow-principal %s --operation %s", quote(servers), quote(principal), c.operations)
		}
		lines[c] += " " + aclResource(at.of, at.name)
	}
	all := make([]string, len(commands))
	for n, c := range commands {
		all[n] = lines[c]
	}
	return all
}

// aclOperation is an operation as kafka-acls.sh has it: DESCRIBE_CONFIGS is
// DescribeConfigs.
func aclOperation(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}

func aclResource(of ResourceType, name string) string {
	switch of {
	case ResourceCluster:
		return "--cluster"
	case ResourceTransactionalID:
		return "--transactional-id " + quote(name)
	default:
		return "--" + strings.ToLower(string(of)) + " " + quote(name)
	}
}

// quote makes a word of a shell of a text.
func quote(text string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._:,/@=+-", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
