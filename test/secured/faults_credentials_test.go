package secured

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// elsewhere is a realm that nobody has.
const elsewhere = "ELSEWHERE.TEST"

// loner is a worker with ways of its own to the KDC and to the master, so that what
// it asks is counted, and what is broken is broken for it alone.
type loner struct {
	*worker
	*reader
	way, master  *gate
	conf, keytab string // files of its own
	table        *kudu.Table
	written      int
}

// newLoner makes a worker on a table of that name. keys gives those of its
// credentials.
func (b *behind) newLoner(t *testing.T, kafka *testenv.Kafka, name, keytab string, keys func(*loner) string) *loner {
	t.Helper()
	l := &loner{way: newGate(t, b.kdc.Addr()), master: newGate(t, b.cluster.Masters()[0]), keytab: t.TempDir() + "/keytab"}
	l.conf = confBehind(t, b.kdc, l.way)
	copyFile(t, keytab, l.keytab)
	l.table = newTable(t, b.writer, strings.ReplaceAll(name, " ", "-"), 0)
	l.worker = newWorker(t, kafka, []string{l.master.addr}, l.table.Name(),
		"kudu.authentication: kerberos\nkudu.kerberos.krb5.conf: "+l.conf+"\n"+keys(l))
	l.reader = newReader(t, kafka, l.table.Name())
	return l
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (l *loner) write(t *testing.T) {
	t.Helper()
	insert(t, l.table, l.written, 5)
	l.written += 5
}

func byKeytab(l *loner) string {
	return "kudu.kerberos.principal: " + user + "\nkudu.kerberos.keytab: " + l.keytab + "\n"
}

func byPassword(*loner) string {
	return "kudu.kerberos.principal: " + user + "\nkudu.kerberos.password: ${env:PASSWORD}\n"
}

// moved puts the file elsewhere, or back.
func moved(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// abroad makes the realm of that krb5.conf another one, of which the same KDC is to be.
func abroad(t *testing.T, conf string) {
	t.Helper()
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf+".new", []byte(strings.ReplaceAll(string(text), testenv.Realm, elsewhere)), 0o600); err != nil {
		t.Fatal(err)
	}
	moved(t, conf+".new", conf)
}

// TestFaultsOfKeytabRealmAndClockAreNamedWithoutAStormAndMended breaks what belongs to
// single workers under those that run, and under others before they start.
func TestFaultsOfKeytabRealmAndClockAreNamedWithoutAStormAndMended(t *testing.T) {
	t.Parallel()
	b := newBehind(t, 6*time.Second)
	keytab, err := b.kdc.Keytab(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	intolerant, err := b.kdc.StartIntolerant(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("running", func(t *testing.T) { b.runOnFaults(t, keytab, intolerant.Addr()) })
	t.Run("starting", func(t *testing.T) { b.startOnFaults(t, keytab, intolerant.Addr()) })
}

// runOnFaults takes the keytab from workers whose tickets expire, gives one another
// realm, and one a KDC that doesn't bear its clock, and puts it right. Rows that are
// written meanwhile are published once.
func (b *behind) runOnFaults(t *testing.T, keytab, intolerant string) {
	kafka := testenv.SharedKafka(t)
	type fault struct {
		*loner
		name        string
		keys        func(*loner) string
		spoil, mend func(l *loner)
		state       string // that it comes to
		says        func(l *loner) []string
		mostAtKDC   int // and once more a second
	}
	away := func(l *loner) { moved(t, l.keytab, l.keytab+".away") }
	back := func(l *loner) { moved(t, l.keytab+".away", l.keytab) }
	lacking := func(l *loner) []string {
		return []string{"reading the keytab: open " + l.keytab + ": no such file or directory", "not authenticated"}
	}
	faults := []*fault{
		// Tickets for servers are renewed while the user's own lasts.
		{name: "missing keytab", mostAtKDC: 4, keys: byKeytab, spoil: away, mend: back, state: "FAILED", says: lacking},
		{name: "keytab that comes back", keys: byKeytab, spoil: away, mend: back, state: "RESTARTING", says: lacking},
		{
			name: "wrong realm", keys: byPassword,
			spoil: func(l *loner) { abroad(t, l.conf) },
			mend:  func(l *loner) { moved(t, confBehind(t, b.kdc, l.way), l.conf) },
			state: "FAILED", mostAtKDC: 12,
			says: func(*loner) []string {
				return []string{"the KDC doesn't know the principal alice@" + elsewhere + " (KDC_ERR_C_PRINCIPAL_UNKNOWN)", "not authenticated"}
			},
		},
		{
			name: "clock skew", keys: byKeytab,
			spoil: func(l *loner) { l.way.lead(intolerant) },
			mend:  func(l *loner) { l.way.lead(b.kdc.Addr()) },
			state: "FAILED", mostAtKDC: 12,
			says: func(*loner) []string {
				return []string{"the clocks of this machine and the KDC differ too much to get a ticket for alice@KUDU.TEST: synchronize them (KRB_AP_ERR_SKEW)", "not authenticated"}
			},
		},
	}
	for _, f := range faults {
		f.loner = b.newLoner(t, kafka, f.name, keytab, f.keys)
		if f.state == "RESTARTING" {
			// There is time, half a minute, before it is FAILED.
			if err := replaceIn(f.dir+"/orders.yaml", "errors.retry.delay.max.ms: 1000", "errors.retry.delay.max.ms: 30000"); err != nil {
				t.Fatal(err)
			}
		}
		f.start(t)
	}
	readers := map[string]*reader{}
	for _, f := range faults {
		f.write(t)
		readers[f.name] = f.reader
	}
	awaitAll(t, readers, faults[0].written, patience)
	began := time.Now()
	for _, f := range faults {
		f.spoil(f.loner)
		f.master.cut()
	}
	b.cut()
	// Those that go on by themselves are looked at first.
	slices.SortStableFunc(faults, func(x, y *fault) int { return strings.Compare(y.state, x.state) })
	for _, f := range faults {
		f.write(t)
	}
	for _, f := range faults {
		says := f.says(f.loner)
		trace := f.becomes(t, patience, f.state, says[0])
		came := time.Since(began)
		if !strings.Contains(trace, says[1]) {
			t.Errorf("%s: %q isn't in the task's trace: %s", f.name, says[1], trace)
		}
		servers := append(b.servers()[1:], f.master.addr)
		if !slices.ContainsFunc(servers, func(who string) bool { return strings.Contains(trace, who) }) {
			t.Errorf("%s: none of %q is in the task's trace: %s", f.name, servers, trace)
		}
		t.Logf("%s: %s after %s: %s", f.name, f.state, came, trace)
		if f.state == "RESTARTING" {
			f.mend(f.loner)
			f.await(t, f.written, patience)
			t.Logf("%s: all rows %s after it came back, by itself", f.name, time.Since(began)-came)
		}
	}
	// It stays so, quietly.
	<-time.After(2 * time.Second)
	for _, f := range faults {
		if f.state != "FAILED" {
			continue
		}
		took := time.Since(began)
		atKDC, atMaster := f.way.since(began), f.master.since(began)
		if float64(atKDC) > float64(f.mostAtKDC)+took.Seconds() || float64(atMaster) > 10+2*took.Seconds() {
			t.Errorf("%s: %d connections to the KDC and %d to the master in %s", f.name, atKDC, atMaster, took)
		}
		t.Logf("%s: %d connections to the KDC and %d to the master in %s", f.name, atKDC, atMaster, took)
		f.becomes(t, patience, f.state, f.says(f.loner)[0])
		f.mend(f.loner)
		f.restartTask(t)
	}
	for _, f := range faults {
		f.write(t)
	}
	awaitAll(t, readers, faults[0].written, patience)
}

// startOnFaults counts what workers ask that start on such faults, and end.
func (b *behind) startOnFaults(t *testing.T, keytab, intolerant string) {
	kafka := testenv.SharedKafka(t)
	type start struct {
		*loner
		name  string
		keys  func(*loner) string
		spoil func(*loner)
		says  func(*loner) string
	}
	says := func(text string) func(*loner) string { return func(*loner) string { return text } }
	starts := []*start{
		{
			name: "keytab", keys: byKeytab,
			spoil: func(l *loner) { moved(t, l.keytab, l.keytab+".away") },
			says:  func(l *loner) string { return "reading the keytab: open " + l.keytab + ": no such file or directory" },
		},
		{
			name: "realm without a KDC", keys: func(l *loner) string { return strings.Replace(byPassword(l), user, user+"@"+elsewhere, 1) },
			spoil: func(*loner) {}, says: says("krb5.conf names no KDC of the realm " + elsewhere + ", nor does DNS"),
		},
		{
			name: "realm of others", keys: byPassword,
			spoil: func(l *loner) { abroad(t, l.conf) },
			says:  says("the KDC doesn't know the principal alice@" + elsewhere + " (KDC_ERR_C_PRINCIPAL_UNKNOWN)"),
		},
		{
			name: "clock", keys: byPassword,
			spoil: func(l *loner) { l.way.lead(intolerant) },
			says:  says("the clocks of this machine and the KDC differ too much to get a ticket for alice@KUDU.TEST: synchronize them (KRB_AP_ERR_SKEW)"),
		},
	}
	for _, s := range starts {
		s.loner = b.newLoner(t, kafka, s.name, keytab, s.keys)
		s.write(t)
		s.spoil(s.loner)
		s.start(t)
	}
	for _, s := range starts {
		code, err := s.process.Wait(within(t, patience))
		text := s.read(t)
		if err != nil || code != 2 {
			t.Errorf("%s: exit code %d, %v", s.name, code, err)
		}
		told := 0
		for line := range strings.Lines(text) {
			if strings.Contains(line, "[ERROR] kudu2kafka: kudu.authentication: ") && strings.Contains(line, s.says(s.loner)) &&
				strings.Contains(line, "correct the credentials, or have them admitted") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("%s: %q was told %d times:\n%s", s.name, s.says(s.loner), told, text)
		}
		atKDC, atMaster := s.way.since(time.Time{}), s.master.since(time.Time{})
		// It doesn't wait for what doesn't pass by itself. An attempt is two questions, and
		// the master may be asked while there are no credentials yet.
		if atKDC > 4 || atMaster > 4 {
			t.Errorf("%s: %d connections to the KDC and %d to the master", s.name, atKDC, atMaster)
		}
		t.Logf("%s: %d connections to the KDC and %d to the master", s.name, atKDC, atMaster)
	}
}
