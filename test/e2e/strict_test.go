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
// certificate, and rights here, of which the worker's user has five for a prefix. Two
// workers, one by password and one by certificate, are killed and take over from each
// other, while tokens and tickets expire. make strict does it as often, and in each phase
// of a task, as the tests without security do (K2K_STRICT_WHOLE=1).
func TestEachRowIsPublishedOnceInTheStrictestSetting(t *testing.T) {
	const user = "alice"
	whole := fromEnv(t, "K2K_STRICT_WHOLE", 0) == 1
	loaded, late := int64(20_000), int64(12_000)
	if whole {
		loaded, late = crashLoaded, crashLate
	}
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
	granted := g.grantPrefixed(byPassword.group)
	from := g.logged()

	r := &crashRun{t: t, s: g.stack, jobs: []*job{byPassword, byCertificate}, dice: newDice(t), met: make(map[phase]int), workers: make([]*worker, 2)}
	if _, err := g.tool.Generate(t.Context(), testenv.GenerateOptions{Table: byPassword.table, Kind: "narrow", Create: true, Buckets: 4, Rows: loaded}, nil); err != nil {
		t.Fatal(err)
	}
	r.start(0)
	r.start(1)
	// They come until the kills are over; what is left of them comes at the end.
	writing := g.writeLate(t, testenv.GenerateOptions{Table: byPassword.table, Kind: "narrow", Start: loaded, Rows: late, Rate: 100})
	for _, a := range strictPlan(r, whole) {
		r.start(r.kill(a))
	}
	for a, more := r.missing(); whole && more && len(r.kills) < crashMostKills; a, more = r.missing() {
		r.start(r.kill(a))
	}
	renewed(t, kdc, user, r.workers)
	for _, w := range r.workers {
		// The ticket is for the master; tablet servers are shown the token that it gives.
		for _, how := range []string{"authn=sasl mechanism=GSSAPI", "authn=token"} {
			if _, err := w.findLine(0, patience, func(line string) bool {
				return strings.Contains(line, ": connected: ") && strings.Contains(line, how) && strings.HasSuffix(line, "encrypted=true")
			}); err != nil {
				t.Errorf("no connection with %s: %v", how, err)
			}
		}
	}
	if whole {
		r.finish(writing)
	} else {
		if !writing.underWay() {
			t.Error("no rows were written any more at the last kill")
		}
		rows := int(loaded) + writing.finish()
		g.awaitRecords(t, byPassword.topic, rows, patience)
		for _, w := range r.workers {
			w.stop()
		}
		if records := g.verify(t, byPassword, "event_time", "id"); len(records) != rows {
			t.Errorf("the topic has %d records, not %d", len(records), rows)
		}
	}
	g.used(from, all)
	g.sufficed(from, granted)
}

// strictPlan is what is done to the workers: all that is done to those without
// security, or a few kills.
func strictPlan(r *crashRun, whole bool) []aim {
	if whole {
		return r.plan()
	}
	var few []aim
	for _, p := range []phase{scanning, ending, scanning, flushing, scanning, flushing, ending} {
		few = append(few, aim{phase: p, spread: 3 * time.Millisecond})
	}
	return few
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
		w.awaitLine(": task runs:", patience) // it has its first one
	}
	first := logins()
	testenv.Await(t, patience, "both workers have renewed their tickets", func() bool { return logins() >= first+len(workers) })
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
