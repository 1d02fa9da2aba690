package preflight

import (
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

func TestAMasterThatIsAwayIsAWarning(t *testing.T) {
	w := newWorld(t)
	down := w.kudu.Master(2)
	down.Kill()
	w.check().want(t, Warning, "kudu.masters", "kudu.masters", "master "+down.Addr()+" doesn't answer")
}

func TestMastersThatAreNotListedAreAWarning(t *testing.T) {
	w := newWorld(t)
	w.c.KuduMasters = w.c.KuduMasters[:1]
	w.check().want(t, Warning, "kudu.masters", "kudu.masters", "the cluster has 3 masters")
}

func TestKuduThatIsAwayIsAnErrorAndSkipsWhatNeedsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.c.KuduMasters = []string{"127.0.0.1:1"}
	w.c.KuduOperationTimeout = 300 * time.Millisecond
	r := w.check()
	r.want(t, Error, "kudu.table", "kudu.masters", "127.0.0.1:1", "kudu.masters")
	skipped := 0
	for _, o := range r.Checks {
		if o.State == Skipped {
			skipped++
		}
	}
	if skipped < 8 {
		t.Errorf("%d checks were skipped:\n%s", skipped, r.text(t))
	}
}

func TestFaultsOfTheTableAreErrors(t *testing.T) {
	w := newWorld(t)
	w.c.KuduTable = "gone"
	w.check().want(t, Error, "kudu.table", "kudu.table", "gone")
	w.c.KuduTable, w.c.StreamingKey, w.c.Where = "orders", []string{"att"}, "noot = 1"
	r := w.check()
	r.want(t, Error, "kudu.table", "streaming.key", `no column "att"`, "kudu.table")
	r.want(t, Error, "kudu.table", "where", "noot", "kudu.table")
}

func TestTabletsWithoutALeaderAndWithTooFewReplicasAreWarnings(t *testing.T) {
	w := newWorld(t)
	w.c.KuduOperationTimeout = 3 * time.Second // for which the leader is waited for
	tablet := w.table.Tablets()[1].ID
	if err := w.kudu.MoveLeader(tablet, nil); err != nil {
		t.Fatal(err)
	}
	w.check().want(t, Warning, "kudu.tablets", "kudu.table", "1 tablet has of 4 no leader: "+tablet, "kudu.servers")
}

func TestATabletServerThatIsAwayIsAWarningUntilItHasTheOnlyReplica(t *testing.T) {
	w := newWorld(t)
	w.c.KuduOperationTimeout = 3 * time.Second // for which those that are away are waited for
	down := w.kudu.TabletServer(2)
	down.Kill()
	w.check().want(t, Warning, "kudu.servers", "kudu.masters", "tablet server "+down.Addr()+", which has replicas of 4 tablets, doesn't answer", "kudu.tablets", "serde.rows")

	w = newWorld(t)
	w.makeTable(kudufake.TableSpec{Replicas: 1})
	r := w.check()
	r.want(t, Note, "kudu.tablets", "kudu.table", "the table has one replica of each tablet")
	r.wantNoWorseThan(t, Note)
	w.c.KuduOperationTimeout = 3 * time.Second
	for i := range w.kudu.NumTabletServers() {
		w.kudu.TabletServer(i).Kill()
	}
	w.check().want(t, Error, "kudu.servers", "kudu.table", "none of the servers answers", "kudu.servers", "kudu.tablets")
}

func TestAClockThatIsOffIsANote(t *testing.T) {
	w := newWorld(t)
	for i := range w.kudu.NumTabletServers() {
		w.kudu.TabletServer(i).SetClockSkew(5 * time.Second)
	}
	r := w.check()
	r.want(t, Note, "kudu.servers", "", "ahead of this machine's")
	r.wantNoWorseThan(t, Note)
}

func TestRightsToRowsAreThoseOfTheMode(t *testing.T) {
	w := newWorld(t)
	w.kudu.Grant(&kudu.Privileges{})
	w.check().want(t, Error, "kudu.rights", "kudu.table", "lacks the right SELECT on the table, for reading at, id, note, price, seen")

	w = newWorld(t)
	w.kudu.Grant(&kudu.Privileges{Scan: true})
	w.check().wantNoWorseThan(t, Note)
	w.c.LateRows = "repair"
	w.check().want(t, Error, "kudu.rights", "kudu.table", "lacks the right INSERT, UPDATE or DELETE")
	w.c.SnapshotGuard = "lag"
	w.check().wantNoWorseThan(t, Note)
	w.c.LateRows, w.c.Mode, w.c.Where = "ignore", "sweep", "price > 1"
	w.check().want(t, Error, "kudu.rights", "kudu.table", "lacks the right DELETE")
	w.c.SweepAction, w.c.SweepSet = "update", map[string]string{"price": "0"}
	w.check().want(t, Error, "kudu.rights", "kudu.table", "lacks the right UPDATE")

	w = newWorld(t)
	w.kudu.Grant(&kudu.Privileges{Scan: true, Delete: true})
	w.c.Mode, w.c.Where = "sweep", "price > 1"
	w.check().wantNoWorseThan(t, Note)
}

func TestColumnsThatMayBeReadAreNamed(t *testing.T) {
	w := newWorld(t)
	w.kudu.Grant(&kudu.Privileges{Columns: []string{"at", "id"}})
	w.check().want(t, Error, "kudu.rights", "kudu.table", "for reading note, price, seen")
	w.c.Columns = []string{"id"}
	w.check().wantNoWorseThan(t, Note)
	w.c.Where = "note = 'x'"
	r := w.check()
	r.want(t, Error, "kudu.rights", "kudu.table", "for reading note")
	if strings.Contains(r.text(t), "price") {
		t.Errorf("a column is missed that isn't read:\n%s", r.text(t))
	}
}
