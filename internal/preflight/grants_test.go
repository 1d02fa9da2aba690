package preflight

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

func TestRightsAreListedAsCommandsAndPolicies(t *testing.T) {
	w := newWorld(t)
	w.w.BootstrapServers = []string{"broker:9092"} // which nobody asks
	w.c.Columns = []string{"note"}
	for _, tc := range []struct {
		name   string
		change func(*connector.Config)
		kudu   []string
	}{
		{"offset", func(*connector.Config) {}, []string{
			"# orders: database default, table orders, column note, at, id: SELECT (reading rows)",
		}},
		{"repair", func(c *connector.Config) { c.LateRows, c.SnapshotGuard = "repair", "barrier" }, []string{
			"# orders: database default, table orders, column *: SELECT (reading rows)",
			"# orders: database default, table orders: INSERT, UPDATE or DELETE (the barriers of snapshot.guard: barrier, which write nothing)",
		}},
		{"sweep", func(c *connector.Config) { c.Mode, c.Where, c.SweepAction = "sweep", "price > 1", "delete" }, []string{
			"# orders: database default, table orders, column *: SELECT (reading rows)",
			"# orders: database default, table orders: DELETE (sweep.action: delete)",
		}},
		{"dry run", func(c *connector.Config) {
			c.Mode, c.Where, c.SweepAction, c.SweepDryRun = "sweep", "price > 1", "delete", true
		}, []string{
			"# orders: database default, table orders, column *: SELECT (reading rows)",
		}},
		{"without the table", func(c *connector.Config) { c.KuduTable = "shop.none" }, []string{
			"# orders: database shop, table none, column *: SELECT (reading rows)",
			`#   all columns are named, since the table could not be looked at: kudu.table: `,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := w.options()
			tc.change(&o.Connectors[0])
			r, err := ListRights(t.Context(), o, "User:conn")
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := r.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			const acl = "kafka-acls.sh --bootstrap-server broker:9092 --add --allow-principal User:conn --operation "
			want := []string{
				acl + "Read --operation Write --topic g-configs --topic g-status --topic g-orders-offsets",
				acl + "Write --topic rows",
				acl + "Read --group g-orders",
				acl + "Write --transactional-id g-orders-0 --transactional-id g-orders-1 --transactional-id g-orders-plan",
				acl + "Create --topic g-configs --topic g-status --topic rows --topic g-orders-offsets",
				acl + "DescribeConfigs --topic g-configs --topic g-status --topic rows",
				acl + "DescribeConfigs --cluster",
				acl + "Alter --operation DescribeConfigs --topic g-orders-offsets",
			}
			var got []string
			for line := range strings.Lines(text.String()) {
				if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") || strings.HasPrefix(line, "# orders: ") || strings.HasPrefix(line, "#   ") {
					got = append(got, line)
				}
			}
			want = append(want, tc.kudu...)
			same := len(got) == len(want)
			for n := 0; same && n < len(want); n++ {
				same = got[n] == want[n] || strings.HasPrefix(want[n], "#   ") && strings.HasPrefix(got[n], want[n])
			}
			if !same {
				t.Errorf("printed\n%s", text.String())
			}
		})
	}
}

// The tables of rights in the documentation are those of the code, with names in
// place of a configuration's.
func TestTablesOfRightsInTheDocumentationAreThoseOfTheCode(t *testing.T) {
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	w, c := connector.DefaultWorkerConfig(), connector.DefaultConfig()
	w.GroupID, c.Name, c.Topic, c.TasksMax = "GROUP", "NAME", "TOPIC", 1
	for _, list := range [][]connector.KafkaRight{connector.KafkaRights(w, c, 0), connector.WorkerRights(w)} {
		if want := rowsOfRights(list); !strings.Contains(string(text), "|---|---|---|---|\n"+want+"\n") {
			t.Errorf("docs/security.md lacks\n%s", want)
		}
	}
}

func rowsOfRights(list []connector.KafkaRight) string {
	var rows strings.Builder
	for _, r := range list {
		optional := "yes"
		switch {
		case r.Optional:
			optional = "no"
		case r.Operation == "CREATE":
			optional = "if it isn't there"
		}
		what := strings.TrimSuffix(r.For, ", if it isn't there")
		name := strings.NewReplacer("GROUP", "<group.id>", "NAME", "<name>", "TOPIC", "<topic>").Replace(r.Name)
		if before, is := strings.CutSuffix(name, "-0"); is {
			name, what = before+"-<task>", strings.Replace(what, "task 0", "each task", 1)
		}
		kind := strings.ToLower(strings.ReplaceAll(string(r.Resource), "_", " "))
		fmt.Fprintf(&rows, "| %s `%s` | %s | %s | %s |\n", kind, name, r.Operation, optional, what)
	}
	return rows.String()
}
