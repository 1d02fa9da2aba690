package preflight

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kudu2kafka/kudu2kafka/connector"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

// checkMasters asks each configured master by itself. That none leads is left to
// kudu.table, which has more patience.
func checkMasters(ctx context.Context, s *subject) ([]Finding, error) {
	const key = "kudu.masters"
	state := s.client.Masters(ctx)
	var out []Finding
	for _, m := range state.Masters {
		if m.Err != nil {
			out = append(out, Finding{Severity: Warning, Key: key, Problem: fmt.Sprintf("master %s doesn't answer: %v", m.Addr, m.Err), Remedy: "start it, or correct the address"})
		}
	}
	if n := len(state.Cluster); n > len(state.Masters) {
		out = append(out, Finding{
			Severity: Warning, Key: key,
			Problem: fmt.Sprintf("the cluster has %d masters (%s), %d of them are configured: when another one leads it isn't found", n, strings.Join(state.Cluster, ", "), len(state.Masters)),
			Remedy:  "list them all",
		})
	}
	return out, nil
}

// checkTable opens the table, and compares it with the configuration.
func checkTable(ctx context.Context, s *subject) ([]Finding, error) {
	outlook, faults := connector.CheckTable(ctx, s.client, s.cfg)
	if len(faults) > 0 {
		return faultFindings(s.cfg.Name, faults), nil
	}
	tablets, err := outlook.Table().Tablets(ctx)
	if err != nil {
		return nil, err
	}
	s.outlook, s.tablets = outlook, tablets
	return nil, nil
}

// checkTablets looks at the tablets' replicas as the master knows them.
func checkTablets(_ context.Context, s *subject) ([]Finding, error) {
	if len(s.tablets) == 0 {
		return found(Note, "kudu.table", "the table has no range partition yet: there is nothing to read until one is added", ""), nil
	}
	table := s.outlook.Table()
	var leaderless, few []string
	for _, t := range s.tablets {
		if t.Leader() == nil {
			leaderless = append(leaderless, t.ID)
		} else if len(t.Replicas) < table.Replicas() {
			few = append(few, t.ID)
		}
	}
	var out []Finding
	if len(leaderless) > 0 {
		out = append(out, Finding{
			Severity: Warning, Key: "kudu.table", Problem: fmt.Sprintf("%s of %d no leader: %s", plural(len(leaderless), "tablet", "tablets")+has(len(leaderless)), len(s.tablets), some(leaderless)),
			Remedy: "wait for the election; if there is none, start the tablet servers that have the replicas",
		})
	}
	if len(few) > 0 {
		out = append(out, Finding{
			Severity: Warning, Key: "kudu.table", Problem: fmt.Sprintf("%s fewer than %d replicas: %s", plural(len(few), "tablet", "tablets")+has(len(few)), table.Replicas(), some(few)),
			Remedy: "look at the tablet servers: kudu cluster ksck",
		})
	}
	if table.Replicas() == 1 {
		out = append(out, Finding{
			Severity: Note, Key: "kudu.table", Problem: "the table has one replica of each tablet: while its tablet server is away its rows can't be read",
			Remedy: "create tables with three replicas",
		})
	}
	return out, nil
}

func has(n int) string {
	if n == 1 {
		return " has"
	}
	return " have"
}

// leastSkew is what two clocks may differ by before it is worth a note.
const leastSkew = time.Second

// checkServers asks every tablet server with a replica for a sign of life, and
// reads a row of one tablet that it leads, if there is one. That also tells the
// server's time.
func checkServers(ctx context.Context, s *subject) ([]Finding, error) {
	hosted, leads := map[string]int{}, map[string]*kudu.Tablet{}
	for _, t := range s.tablets {
		for _, r := range t.Replicas {
			hosted[r.Addr]++
			if r.Role == kudu.RoleLeader && leads[r.Addr] == nil {
				leads[r.Addr] = t
			}
		}
	}
	var out []Finding
	down := map[string]bool{}
	for _, addr := range slices.Sorted(maps.Keys(hosted)) {
		if err := s.client.PingServer(ctx, addr); err != nil {
			down[addr] = true
			out = append(out, Finding{
				Severity: Warning, Key: "kudu.masters", Problem: fmt.Sprintf("tablet server %s, which has replicas of %s, doesn't answer: %v", addr, plural(hosted[addr], "tablet", "tablets"), err),
				Remedy: "start it, or make it reachable from here",
			})
		}
	}
	var lost []string
	for _, t := range s.tablets {
		if !slices.ContainsFunc(t.Replicas, func(r kudu.Replica) bool { return !down[r.Addr] }) {
			lost = append(lost, t.ID)
		}
	}
	if len(lost) > 0 {
		out = append(out, Finding{
			Severity: Error, Key: "kudu.table", Problem: fmt.Sprintf("none of the servers answers that have a replica of tablet %s: rows there can't be read", some(lost)),
			Remedy: "start one of them, or make it reachable from here",
		})
	}
	var latest time.Duration
	for _, addr := range slices.Sorted(maps.Keys(leads)) {
		if down[addr] {
			continue
		}
		skew, err := s.readOne(ctx, leads[addr].ID)
		if err != nil {
			severity := Error
			if kudu.Retriable(err) {
				severity = Warning
			}
			out = append(out, Finding{Severity: severity, Key: "kudu.table", Problem: fmt.Sprintf("no row can be read at tablet server %s: %v", addr, err), Remedy: "see what the server says, and its log"})
			continue
		}
		if skew.Abs() > latest.Abs() {
			latest = skew
		}
	}
	s.now = time.Now().Add(latest)
	if latest.Abs() > leastSkew {
		direction := "ahead of"
		if latest < 0 {
			direction = "behind"
		}
		out = append(out, Finding{
			Severity: Note, Problem: fmt.Sprintf("Kudu's clock is %v %s this machine's; times in where and settle.delay.ms are by Kudu's", latest.Abs().Round(time.Millisecond), direction),
			Remedy: "keep the clocks of all machines synchronized (NTP)",
		})
	}
	return out, nil
}

// readOne reads one row of a tablet at its leader's present, and tells by how much
// that is ahead of this machine's.
func (s *subject) readOne(ctx context.Context, tablet string) (skew time.Duration, err error) {
	sc, err := s.outlook.Table().Scan(tablet, kudu.ScanOptions{Columns: s.outlook.Columns(), Mode: kudu.ReadAtSnapshot, Limit: 1})
	if err != nil {
		return 0, err
	}
	defer sc.Close()
	asked := time.Now()
	if _, err := sc.Next(ctx); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	middle := asked.Add(time.Since(asked) / 2)
	return sc.Snapshot().Time().Sub(middle), nil
}

// checkKuduRights compares what the master has granted with what the mode needs.
func checkKuduRights(_ context.Context, s *subject) ([]Finding, error) {
	have, known := s.outlook.Table().Privileges()
	if !known {
		return nil, nil // the cluster hands out no rights
	}
	want := s.outlook.KuduRights()
	var columns []string
	for _, c := range want.Select {
		if !have.CanScan(c) {
			columns = append(columns, c)
		}
	}
	var out []Finding
	lacking := func(right, what string) {
		out = append(out, Finding{
			Severity: Error, Key: "kudu.table", Problem: fmt.Sprintf("this user lacks the right %s on the table, for %s", right, what), Remedy: "have it granted (Ranger), or choose another configuration",
		})
	}
	if len(columns) > 0 {
		lacking("SELECT", "reading "+strings.Join(columns, ", "))
	}
	for _, w := range []struct {
		right, what string
		has         bool
	}{
		{"INSERT", want.Insert, have.Insert}, {"UPDATE", want.Update, have.Update}, {"DELETE", want.Delete, have.Delete},
		{"INSERT, UPDATE or DELETE", want.AnyWrite, have.Insert || have.Update || have.Delete},
	} {
		if w.what != "" && !w.has {
			lacking(w.right, w.what)
		}
	}
	return out, nil
}
