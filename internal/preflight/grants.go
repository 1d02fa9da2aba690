package preflight

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
)

// RightsList is what a worker's users have to be granted for the worker itself and
// its connectors, and how.
type RightsList struct {
	Principal string      `json:"principal"` // in Kafka
	Kafka     []RightPlan `json:"kafka"`
	// Needed, Creating and Optional are the commands that grant them: what nothing
	// goes without, what makes topics that aren't there, and what it does without.
	Needed   []string    `json:"needed"`
	Creating []string    `json:"creating"`
	Optional []string    `json:"optional"`
	Kudu     []KuduGrant `json:"kudu"`
}

// KuduGrant is a policy of Apache Ranger.
type KuduGrant struct {
	Connector string   `json:"connector"`
	Database  string   `json:"database"`
	Table     string   `json:"table"`
	Columns   []string `json:"columns"` // empty: the table as a whole
	Access    string   `json:"access"`  // SELECT, INSERT, UPDATE or DELETE; METADATA comes with any of them
	For       string   `json:"for"`
	// Note says what couldn't be worked out.
	Note string `json:"note,omitempty"`
}

// tablePatience bounds the look at a table, which only is to name its columns.
const tablePatience = 5 * time.Second

// ListRights works the rights out from the configuration. It doesn't ask Kafka for
// anything; it looks at the connectors' tables to name columns, where Kudu lets it.
// An empty principal stands for the worker's.
func ListRights(ctx context.Context, o Options, principal string) (*RightsList, error) {
	l, subjects, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer finish(l, subjects)
	if principal == "" {
		principal = principalOr(connector.KafkaPrincipal(l.worker))
	}
	r := &RightsList{Principal: principal, Kafka: []RightPlan{}, Kudu: []KuduGrant{}}
	var needed, creating, optional []kafka.Right
	add := func(rights []connector.KafkaRight) {
		for _, k := range rights {
			switch {
			case k.Optional:
				optional = append(optional, k.Right)
			case k.Operation == "CREATE":
				creating = append(creating, k.Right)
			default:
				needed = append(needed, k.Right)
			}
			r.Kafka = append(r.Kafka, rightPlan(k))
		}
	}
	add(connector.WorkerRights(l.worker))
	for _, s := range subjects {
		add(connector.KafkaRights(l.worker, s.cfg, 0))
		r.Kudu = append(r.Kudu, s.kuduGrants(ctx)...)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("listing rights: %w", ctx.Err())
	}
	servers := strings.Join(l.worker.BootstrapServers, ",")
	r.Needed, r.Creating, r.Optional = kafka.Grants(servers, principal, needed), kafka.Grants(servers, principal, creating), kafka.Grants(servers, principal, optional)
	return r, nil
}

// kuduGrants are the policies for a connector's table.
func (s *subject) kuduGrants(ctx context.Context) []KuduGrant {
	// Ranger's database is what the table's name has before the first dot; default is
	// Kudu's --ranger_default_database.
	database, table, is := strings.Cut(s.cfg.KuduTable, ".")
	if !is {
		database, table = "default", s.cfg.KuduTable
	}
	ctx, cancel := context.WithTimeout(ctx, tablePatience)
	defer cancel()
	outlook, faults := connector.CheckTable(ctx, s.client, s.cfg)
	grant := KuduGrant{Connector: s.cfg.Name, Database: database, Table: table, Columns: []string{"*"}, Access: "SELECT", For: "reading rows"}
	if outlook == nil {
		grant.Note = "all columns are named, since the table could not be looked at: " + oneLine(faults[0].String())
		return append([]KuduGrant{grant}, writeGrants(grant, connector.WritesOf(s.cfg))...)
	}
	rights := outlook.KuduRights()
	if len(rights.Select) < outlook.Table().Schema().NumColumns() {
		grant.Columns = rights.Select
	}
	return append([]KuduGrant{grant}, writeGrants(grant, rights)...)
}

// writeGrants are the policies for what is written, if anything is.
func writeGrants(like KuduGrant, rights connector.KuduRights) []KuduGrant {
	var all []KuduGrant
	for _, w := range []struct{ access, what string }{
		{"INSERT", rights.Insert}, {"UPDATE", rights.Update}, {"DELETE", rights.Delete}, {"INSERT, UPDATE or DELETE", rights.AnyWrite},
	} {
		if w.what != "" {
			like.Columns, like.Access, like.For, like.Note = []string{}, w.access, w.what, ""
			all = append(all, like)
		}
	}
	return all
}

// WriteText prints the list as a shell script of commands for Kafka, with the
// rest in comments.
func (r *RightsList) WriteText(out io.Writer) error {
	w := &textWriter{out: out}
	part := func(title string, commands []string) {
		if len(commands) == 0 {
			return
		}
		w.line("# %s", title)
		for _, c := range commands {
			w.line("%s", c)
		}
	}
	w.line("# Kafka: what %s needs. Run this where Kafka is, as one who may alter the cluster", r.Principal)
	w.line("# (with --command-config FILE, if the brokers ask who you are).")
	part("needed", r.Needed)
	part("to make the topics that aren't there; not needed for those that you make", r.Creating)
	part("optional: to look at settings and tell what is wrong, and to grow with tasks.max", r.Optional)
	if len(r.Kudu) == 0 {
		return w.err
	}
	w.line("# Kudu: policies in Apache Ranger for the user of each connector. Without Ranger it needs to be in")
	w.line("# --user_acl and nothing more.")
	for _, k := range r.Kudu {
		columns := ""
		if len(k.Columns) > 0 {
			columns = ", column " + strings.Join(slices.Clone(k.Columns), ", ")
		}
		w.line("# %s: database %s, table %s%s: %s (%s)", k.Connector, k.Database, k.Table, columns, k.Access, k.For)
		if k.Note != "" {
			w.line("#   %s", k.Note)
		}
	}
	return w.err
}
