package kudu_test

import (
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestExpiredAuthorizationsAreRenewed(t *testing.T) {
	t.Parallel()
	cluster := testenv.NewKudu(t, testenv.KuduConfig{
		MasterFlags:       []string{"--authz_token_validity_seconds=1"},
		TabletServerFlags: []string{"--tserver_enforce_access_control=true"},
	})
	c := newClient(t, cluster)
	table := createTable(t, c, simpleTable("authz"))
	tablets, err := table.Tablets(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, table, kudu.OpInsert, []any{1, "a"}, []any{2, "b"})
	for round := range 2 {
		// The token's life is counted in whole seconds, by the server's clock.
		<-time.After(2500 * time.Millisecond)
		rows := 0
		for _, tablet := range tablets {
			rows += countRows(t, table, tablet.ID, kudu.ScanOptions{Ordered: round == 0})
		}
		if rows != 2 {
			t.Errorf("%d rows, want 2", rows)
		}
	}
	<-time.After(2500 * time.Millisecond)
	if done := write(t, table, kudu.OpUpsert, []any{2, "c"}); done.Rows != 1 {
		t.Errorf("%+v", done)
	}
}
