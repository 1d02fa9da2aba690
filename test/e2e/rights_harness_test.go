package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// The user that workers are in a guarded Kafka.
const (
	limited         = "limited"
	limitedPassword = "limited-secret"
)

// guarded is a stack whose Kafka looks at the rights of users. Workers of its jobs
// are limited; the tests themselves may do everything.
type guarded struct {
	*stack
	t   *testing.T
	adm *kadm.Client
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	broker := guardedKafka(t)
	return guardedStack(t, newStackOn(t, testenv.SharedKudu(t), broker))
}

func guardedKafka(t *testing.T) *testenv.Kafka {
	t.Helper()
	return testenv.SharedSecuredKafka(t, testenv.KafkaConfig{
		Properties: map[string]string{"group.min.session.timeout.ms": "1000"},
		Security:   &testenv.KafkaSecurity{Users: map[string]string{limited: limitedPassword}, Authorizer: true, Audit: true},
	})
}

func guardedStack(t *testing.T, s *stack) *guarded {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &guarded{stack: s, t: t, adm: kadm.NewClient(client)}
}

// secure has the job's workers be the limited user, by a password.
func (g *guarded) secure(j *job) *job {
	j.worker["bootstrap.servers"] = g.kafka.Secured().SASLSSL
	j.worker["security.protocol"], j.worker["ssl.truststore.location"] = "SASL_SSL", g.kafka.Secured().CAFile
	j.worker["sasl.mechanism"], j.worker["sasl.username"], j.worker["sasl.password"] = "SCRAM-SHA-512", limited, limitedPassword
	return j
}

// rights are those that the program lists for a job.
type rights struct{ needed, creating, optional []kafka.Right }

func (g *guarded) list(j *job) rights {
	g.t.Helper()
	var listed preflight.RightsList
	if code := commandJSON(g.t, &listed, append([]string{"rights", "--json"}, g.files(g.t, g.t.TempDir(), []*job{j})...)...); code != 0 {
		g.t.Fatalf("rights exits with %d", code)
	}
	if listed.Principal != "User:"+limited {
		g.t.Errorf("the rights are for %s", listed.Principal)
	}
	var all rights
	for _, r := range listed.Kafka {
		one := kafka.Right{Operation: r.Operation, Resource: kafka.ResourceType(r.Resource), Name: r.Name}
		switch {
		case r.Optional:
			all.optional = append(all.optional, one)
		case r.Operation == "CREATE":
			all.creating = append(all.creating, one)
		default:
			all.needed = append(all.needed, one)
		}
	}
	return all
}

func (g *guarded) acl(r kafka.Right) *kadm.ACLBuilder {
	g.t.Helper()
	op, err := kmsg.ParseACLOperation(r.Operation)
	if err != nil {
		g.t.Fatal(err)
	}
	acl := kadm.NewACLs().Allow("User:" + limited).AllowHosts("*").Operations(op).ResourcePatternType(kadm.ACLPatternLiteral)
	switch r.Resource {
	case kafka.ResourceTopic:
		return acl.Topics(r.Name)
	case kafka.ResourceGroup:
		return acl.Groups(r.Name)
	case kafka.ResourceTransactionalID:
		return acl.TransactionalIDs(r.Name)
	default:
		return acl.Clusters()
	}
}

// heard waits until the broker itself goes by the last of the rights that were granted, or
// revoked: it hears of them, in their order, behind the controller that has stored them.
func (g *guarded) heard(last *kadm.ACLBuilder, granted bool) {
	g.t.Helper()
	eventually(g.t, patience, "the broker has heard of rights", func() bool {
		found, err := g.adm.DescribeACLs(g.t.Context(), last)
		if err != nil || found[0].Err != nil {
			g.t.Fatalf("asking for rights: %v, %+v", err, found)
		}
		return (len(found[0].Described) > 0) == granted
	})
}

func (g *guarded) grant(all ...kafka.Right) {
	g.t.Helper()
	for _, r := range all {
		made, err := g.adm.CreateACLs(g.t.Context(), g.acl(r))
		if err != nil || made[0].Err != nil {
			g.t.Fatalf("granting %s: %v, %+v", r, err, made)
		}
	}
	if len(all) > 0 {
		g.heard(g.acl(all[len(all)-1]), true)
	}
}

// grantPrefixed grants what docs/security.md says to be enough for a group, whose topics
// of rows have the same prefix here.
func (g *guarded) grantPrefixed(prefix string) []kafka.Right {
	g.t.Helper()
	all := []kafka.Right{
		{Operation: "READ", Resource: kafka.ResourceTopic, Name: prefix},
		{Operation: "WRITE", Resource: kafka.ResourceTopic, Name: prefix},
		{Operation: "CREATE", Resource: kafka.ResourceTopic, Name: prefix},
		{Operation: "READ", Resource: kafka.ResourceGroup, Name: prefix},
		{Operation: "WRITE", Resource: kafka.ResourceTransactionalID, Name: prefix},
	}
	for _, r := range all {
		made, err := g.adm.CreateACLs(g.t.Context(), g.acl(r).ResourcePatternType(kadm.ACLPatternPrefixed))
		if err != nil || made[0].Err != nil {
			g.t.Fatalf("granting %s: %v, %+v", r, err, made)
		}
	}
	g.heard(g.acl(all[len(all)-1]).ResourcePatternType(kadm.ACLPatternPrefixed), true)
	return all
}

// sufficed makes sure that since an offset in the broker's log each of the rights for a
// prefix was used, and nothing beyond them but what comes with them.
func (g *guarded) sufficed(from int64, granted []kafka.Right) {
	g.t.Helper()
	used := make(map[kafka.Right]bool)
	for _, d := range g.decisions(from) {
		covered := d.right.Operation == "DESCRIBE" || !d.allowed
		for _, r := range granted {
			if d.allowed && d.right.Operation == r.Operation && d.right.Resource == r.Resource && strings.HasPrefix(d.right.Name, r.Name) {
				used[r], covered = true, true
			}
		}
		if !covered {
			g.t.Errorf("%s was allowed %s, which isn't granted", d.request, d.right)
		}
	}
	for _, r := range granted {
		if !used[r] {
			g.t.Errorf("nothing has used %s", r)
		}
	}
}

func (g *guarded) revoke(r kafka.Right) {
	g.t.Helper()
	gone, err := g.adm.DeleteACLs(g.t.Context(), g.acl(r))
	if err != nil || gone[0].Err != nil || len(gone[0].Deleted) != 1 {
		g.t.Fatalf("revoking %s: %v, %+v", r, err, gone)
	}
	g.heard(g.acl(r), false)
}

// decision is one of the authorizer's.
type decision struct {
	allowed bool
	right   kafka.Right
	request string
}

var audited = regexp.MustCompile(`Principal = User:` + limited + ` is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+) for request = (\w+)`)

// decisions are those about the limited user from an offset in the broker's log on.
func (g *guarded) decisions(from int64) []decision {
	g.t.Helper()
	text, err := os.ReadFile(g.kafka.Log())
	if err != nil {
		g.t.Fatal(err)
	}
	var all []decision
	for _, m := range audited.FindAllStringSubmatch(string(text[from:]), -1) {
		all = append(all, decision{m[1] == "Allowed", kafka.Right{Operation: spelled(m[2]), Resource: kafka.ResourceType(spelled(m[3])), Name: m[4]}, m[5]})
	}
	return all
}

var words = regexp.MustCompile(`[A-Z][a-z]+`)

// spelled is TRANSACTIONAL_ID for TransactionalId; the log has both ways.
func spelled(name string) string {
	if name == strings.ToUpper(name) {
		return name
	}
	return strings.ToUpper(strings.Join(words.FindAllString(name, -1), "_"))
}

// logged is the size of the broker's log.
func (g *guarded) logged() int64 {
	g.t.Helper()
	info, err := os.Stat(g.kafka.Log())
	if err != nil {
		g.t.Fatal(err)
	}
	return info.Size()
}

// used judges what workers have tried since an offset in the broker's log: each
// right that is needed, and of the others only those that are optional.
func (g *guarded) used(from int64, all rights) {
	g.t.Helper()
	tried := make(map[kafka.Right]int)
	for _, d := range g.decisions(from) {
		tried[d.right]++
		if d.right.Operation == "DESCRIBE" || tried[d.right] > 1 {
			continue // comes with the others; was told
		}
		if !d.allowed && !slices.Contains(all.optional, d.right) {
			g.t.Errorf("%s was denied %s", d.request, d.right)
		}
		if d.allowed && !slices.Contains(all.needed, d.right) && !slices.Contains(all.creating, d.right) {
			g.t.Errorf("%s was allowed %s, which isn't listed", d.request, d.right)
		}
	}
	for _, r := range all.needed {
		if tried[r] == 0 {
			g.t.Errorf("nothing has used %s", r)
		}
	}
	g.t.Logf("what was tried, and how often: %v", tried)
}
