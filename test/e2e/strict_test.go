package e2e

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

// The lives of what expires, and is renewed while the workers run.
const (
	strictTicket = 12 * time.Second
	strictFlags  = "--authn_token_validity_seconds=10 --authz_token_validity_seconds=5"
)

// TestEachRowIsPublishedOnceInTheStrictestSetting has Kudu and Kafka demand all that
// they can: Kerberos, encryption and authorization tokens there, TLS, a password or a
// certificate, and rights here, of which the worker's user has what is listed and no
// more. Two workers, one by password and one by certificate, are killed and take over
// from each other, while tokens and tickets expire.
func TestEachRowIsPublishedOnceInTheStrictestSetting(t *testing.T) {
	const (
		loaded, late = 20_000, 12_000
		rate         = 400
		user         = "alice"
	)
	kdc := testenv.NewKDC(t)
	cluster := testenv.NewKudu(t, testenv.KuduConfig{
		Kerberos: kdc, MasterFlags: strings.Fields(strictFlags),
		Flags:             []string{"--rpc_encrypt_loopback_connections=true", "--user_acl=" + user, "--rpc_default_keepalive_time_ms=1000"},
		TabletServerFlags: []string{"--tserver_enforce_access_control=true"},
	})
	keytab := func(name string) string {
		file, err := kdc.Keytab(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	cache, err := kdc.KinitKeytab(t.Context(), testenv.KuduAdmin, keytab(testenv.KuduAdmin))
	if err != nil {
		t.Fatal(err)
	}
	if err := kdc.AddUser(t.Context(), user, "secret-of-"+user, strictTicket); err != nil {
		t.Fatal(err)
	}
	broker := guardedKafka(t)
	tool, err := testenv.StartKuduToolAs(t.Context(), cluster.Masters(), kdc, cache)
	g := guardedStack(t, newStackBy(t, cluster, broker, tool, err))

	byPassword := g.secure(newCrashJob(t, 4))
	byPassword.worker["session.timeout.ms"], byPassword.worker["heartbeat.interval.ms"] = "2000", "300"
	byPassword.connector["topic.creation.default.partitions"] = "1" // so that the order within a tablet is whole
	maps.Copy(byPassword.connector, map[string]string{
		"kudu.authentication": "kerberos", "kudu.kerberos.principal": user, "kudu.kerberos.keytab": keytab(user), "kudu.kerberos.krb5.conf": kdc.ClientConf(),
	})
	byCertificate := g.certified(byPassword)
	all := g.list(byPassword)
	g.grant(all.needed...)
	g.grant(all.creating...)
	from := g.logged()

	r := &crashRun{t: t, s: g.stack, jobs: []*job{byPassword, byCertificate}, dice: newDice(t), met: make(map[phase]int), workers: make([]*worker, 2)}
	if _, err := g.tool.Generate(t.Context(), testenv.GenerateOptions{Table: byPassword.table, Kind: "narrow", Create: true, Buckets: 4, Rows: loaded}, nil); err != nil {
		t.Fatal(err)
	}
	r.start(0)
	r.start(1)
	writing := g.writeLate(t, testenv.GenerateOptions{Table: byPassword.table, Kind: "narrow", Start: loaded, Rows: late, Rate: rate})
	kill := func(phases ...phase) {
		for _, p := range phases {
			r.start(r.kill(aim{phase: p, spread: 3 * time.Millisecond}))
		}
	}
	kill(scanning, ending, scanning, flushing)
	kill(scanning, flushing, ending)
	renewed(t, kdc, user, r.workers)
	if !writing.underWay() {
		t.Error("all rows were written before the last kill")
	}
	writing.finish()
	g.awaitRecords(t, byPassword.topic, loaded+late, time.Minute)
	for _, w := range r.workers {
		w.stop()
	}
	if records := g.verify(t, byPassword, "event_time", "id"); len(records) != loaded+late {
		t.Errorf("the topic has %d records, not %d", len(records), loaded+late)
	}
	g.used(from, all)
}

// renewed waits until each of the running workers has got another ticket than its
// first.
func renewed(t *testing.T, kdc *testenv.KDC, user string, workers []*worker) {
	t.Helper()
	logins := func() int {
		n, err := kdc.Logins(user)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, w := range workers {
		w.awaitLine(": task runs:", 30*time.Second) // it has its first one
	}
	first := logins()
	testenv.Await(t, 3*strictTicket, "both workers have renewed their tickets", func() bool { return logins() >= first+len(workers) })
}

// certified is the job with a certificate in place of the password, whose name is
// the same user.
func (g *guarded) certified(j *job) *job {
	g.t.Helper()
	pair, err := g.kafka.Secured().Authority.Issue(testenv.CertificateSpec{Name: limited})
	if err != nil {
		g.t.Fatal(err)
	}
	file := filepath.Join(g.t.TempDir(), "client.pem")
	if err := pair.Write(file); err != nil {
		g.t.Fatal(err)
	}
	other := *j
	other.worker = maps.Clone(j.worker)
	for _, key := range []string{"sasl.mechanism", "sasl.username", "sasl.password"} {
		delete(other.worker, key)
	}
	other.worker["bootstrap.servers"], other.worker["security.protocol"], other.worker["ssl.keystore.location"] = g.kafka.Secured().SSL, "SSL", file
	return &other
}
