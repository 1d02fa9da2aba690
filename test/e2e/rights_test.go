package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/kafka"
	"github.com/kudu2kafka/kudu2kafka/internal/preflight"
	"github.com/kudu2kafka/kudu2kafka/offsets"
)

// What the program lists is granted, and no more; the broker's authorizer tells what
// was tried.
func TestRightsThatAreListedAreUsedAndEnough(t *testing.T) {
	g := newGuarded(t)
	with := func(name string, tasks int, may func(*guarded, *job, rights), f func(*guarded, *job)) {
		t.Run(name, func(t *testing.T) {
			g := &guarded{stack: g.stack, t: t, adm: g.adm}
			j := g.secure(newJob(t, tasks))
			j.name = "orders"
			if name == "mode sweep" {
				j = g.secure(newSweepJob(t, tasks))
			}
			all := g.list(j)
			g.grant(all.needed...)
			may(g, j, all)
			from := g.logged()
			f(g, j)
			g.used(from, all)
		})
	}
	making := func(g *guarded, _ *job, all rights) { g.grant(all.creating...) }
	with("steering", 2, making, func(g *guarded, j *job) { g.steerEither(g.t, j) })
	with("positions", 2, making, func(g *guarded, j *job) { g.changePositions(g.t, j) })
	premade := func(g *guarded, j *job, _ rights) {
		g.makeTopic(j.group+"-configs", 1, "compact")
		g.makeTopic(j.group+"-status", 1, "compact")
		g.makeTopic(j.group+"-"+j.name+"-offsets", 2, "compact")
		g.makeTopic(j.topic, 1, "delete")
	}
	with("mode sweep", 2, premade, func(g *guarded, j *job) {
		j.worker["log.level"], j.worker["session.timeout.ms"], j.worker["heartbeat.interval.ms"] = "trace", "2000", "300"
		j.connector["sweep.batch.max.rows"], j.connector["sweep.max.rows.per.second"] = "100", "600" // so that there is something to kill
		q := newQueue(g.t, g.stack, j, 4)
		q.load(4000, 500)
		halt := q.keepWriting() // rows come until the last kill
		defer halt()
		workers := []*worker{g.start(g.t, j, "first"), g.start(g.t, j, "second")}
		for n, moment := range []string{": sweep committed:", ": sweep written:", ": transaction begun:"} {
			w := workers[n%2]
			if _, err := w.findLine(w.LogSize(), patience, func(line string) bool { return strings.Contains(line, moment) }); err != nil {
				g.t.Fatalf("waiting for %q: %v", moment, err)
			}
			if err := w.Kill(); err != nil {
				g.t.Fatal(err)
			}
			workers[n%2] = g.start(g.t, j, fmt.Sprintf("worker after kill %d", n))
		}
		halt()
		q.awaitSwept(g.stack, j, 2*time.Minute)
		for _, w := range workers {
			w.stop()
		}
		q.verify(g.stack, j)
	})
}

// makeTopic makes one as an administrator does who grants no CREATE.
func (g *guarded) makeTopic(name string, partitions int32, policy string) {
	g.t.Helper()
	settings := map[string]*string{"cleanup.policy": &policy}
	if policy == "compact" {
		for key, value := range offsets.TopicSettings() {
			settings[key] = &value
		}
	}
	if _, err := g.adm.CreateTopic(g.t.Context(), partitions, 1, settings, name); err != nil {
		g.t.Fatal(err)
	}
}

// deprived is a worker of its own group that lacks one right.
type deprived struct {
	*steered
	job     *job
	missing kafka.Right
	all     rights
}

// begin starts the worker, and makes its connector by REST.
func (d *deprived) begin(g *guarded) {
	g.t.Helper()
	d.steered = g.startSteered(g.t, d.job, "without "+d.missing.String())
	config := map[string]string{"kudu.masters": strings.Join(g.kudu.Masters(), ","), "kudu.table": d.job.table, "topic": d.job.topic, "name": "c"}
	maps.Copy(config, d.job.connector)
	d.do(http.StatusCreated, http.MethodPost, "/connectors", map[string]any{"name": "c", "config": config})
}

// ofGroup reports that the worker needs the right itself, for whatever connector.
func (d *deprived) ofGroup() bool {
	return d.missing.Name == d.job.group+"-configs" || d.missing.Name == d.job.group+"-status"
}

// says waits until something that people look at names the right.
func (d *deprived) says(t *testing.T, path string) string {
	t.Helper()
	var text string
	eventually(t, patience, fmt.Sprintf("%s names %s", path, d.missing), func() bool {
		_, text = d.try(http.MethodGet, path, nil)
		return strings.Contains(text, "this needs the right") && strings.Contains(text, d.missing.String()) && strings.Contains(text, "as User:"+limited)
	})
	return text
}

// checked wants check to name the right, and to say how it is granted.
func (d *deprived) checked(g *guarded) {
	g.t.Helper()
	var report preflight.Report
	commandJSON(g.t, &report, append([]string{"check", "--json"}, g.files(g.t, g.t.TempDir(), []*job{d.job})...)...)
	grants := kafka.Grants(d.job.worker["bootstrap.servers"], "User:"+limited, []kafka.Right{d.missing})[0]
	found := false
	for _, f := range report.Findings {
		if f.Severity == preflight.Error && f.Connector+f.Check != "" && strings.Contains(f.Check, "rights") {
			if !strings.Contains(f.Problem, "User:"+limited) || !strings.Contains(f.Problem, d.missing.Name) || !strings.Contains(f.Remedy, grants) {
				g.t.Errorf("without %s check finds %+v", d.missing, f)
			}
			found = true
		}
	}
	if !found || report.Failed() > 0 {
		g.t.Errorf("without %s check finds %+v, %+v", d.missing, report.Findings, report.Checks)
	}
}

// askedSince counts what was denied to the worker and its connector since an offset in
// the broker's log.
func (d *deprived) askedSince(g *guarded, from int64) int {
	n := 0
	for _, one := range g.decisions(from) {
		if !one.allowed && strings.HasPrefix(one.right.Name, d.job.group) && one.right.Operation == d.missing.Operation {
			n++
		}
	}
	return n
}

func TestEachMissingRightIsNamedAndAskedForSeldom(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	const table = "deprived"
	if err := g.tool.CreateTable(t.Context(), eventTable(table)); err != nil {
		t.Fatal(err)
	}
	const step = 60
	g.events(t, table, midnight, 0, step)
	template := g.list(g.secure(newJob(t, 1)))
	var workers []*deprived
	for n := range slices.Concat(template.needed, template.creating) {
		d := &deprived{job: g.secure(newJob(t, 1))}
		d.job.table = table
		d.job.worker["listeners"] = "http://127.0.0.1:0"
		d.all = g.list(d.job)
		listed := slices.Concat(d.all.needed, d.all.creating)
		d.missing = listed[n]
		g.grant(slices.Delete(slices.Clone(listed), n, n+1)...)
		workers = append(workers, d)
	}

	// From the start.
	for _, d := range workers {
		if !d.ofGroup() {
			d.begin(g)
			continue
		}
		w := g.start(t, d.job, "without "+d.missing.String())
		if code, err := w.Wait(t.Context()); err != nil || code != 1 {
			t.Errorf("without %s the worker exits with %d, %v", d.missing, code, err)
		}
		w.awaitLine("this needs the right ", time.Second)
		w.awaitLine(d.missing.String(), time.Second)
	}
	for _, d := range workers {
		if d.ofGroup() {
			continue
		}
		t.Logf("without %s from the start: %s", d.missing, d.says(t, "/connectors/c/status"))
		d.awaitLine(d.missing.String(), patience)
	}
	for _, d := range workers {
		d.checked(g)
		g.grant(d.missing)
	}
	for _, d := range workers {
		if d.ofGroup() {
			d.begin(g)
			continue
		}
		d.try(http.MethodPost, "/connectors/c/restart?includeTasks=true&onlyFailed=true", nil)
	}
	for _, d := range workers {
		g.awaitRecords(t, d.job.topic, step, patience)
	}

	// During the run. What makes topics, or stores the plan of tasks, isn't asked for
	// again.
	workers = slices.DeleteFunc(workers, func(d *deprived) bool {
		return d.missing.Operation == "CREATE" || strings.HasSuffix(d.missing.Name, "-plan")
	})
	for _, d := range workers {
		g.revoke(d.missing)
	}
	g.events(t, table, midnight, step, 2*step)
	edits := func(d *deprived) bool {
		return d.missing == kafka.Right{Operation: "WRITE", Resource: kafka.ResourceTopic, Name: d.job.group + "-configs"}
	}
	for _, d := range workers {
		switch {
		case edits(d):
			if code, text := d.try(http.MethodPut, "/connectors/c/pause", nil); code != http.StatusInternalServerError || !strings.Contains(text, d.missing.String()) {
				t.Errorf("a pause without %s: %d %s", d.missing, code, text)
			}
		case d.ofGroup():
			t.Logf("without %s: %s", d.missing, d.says(t, "/health"))
		default:
			if d.missing.Operation == "READ" && d.missing.Resource == kafka.ResourceTopic {
				// Positions are read when a task begins.
				d.do(http.StatusAccepted, http.MethodPost, "/connectors/c/restart?includeTasks=true", nil)
			}
			t.Logf("without %s: %s", d.missing, d.says(t, "/connectors/c/status"))
		}
	}
	from := g.logged()
	const watched = 3 * time.Second
	<-time.After(watched)
	for _, d := range workers {
		n := d.askedSince(g, from)
		t.Logf("without %s it is asked for %d times within %v", d.missing, n, watched)
		if n > 15 {
			t.Errorf("without %s it is asked for %d times within %v", d.missing, n, watched)
		}
		d.checked(g)
	}
	for _, d := range workers {
		g.grant(d.missing)
		d.try(http.MethodPost, "/connectors/c/restart?includeTasks=true&onlyFailed=true", nil)
	}
	g.events(t, table, midnight, 2*step, 3*step)
	for _, d := range workers {
		g.awaitRecords(t, d.job.topic, 3*step, patience)
		eventually(t, patience, "the worker is well", func() bool {
			code, _ := d.try(http.MethodGet, "/health", nil)
			return code == http.StatusOK
		})
		d.stop()
		times := g.timesPublished(t, d.job.topic)
		for id, n := range times {
			if n != 1 {
				t.Errorf("without %s row %d was published %d times", d.missing, id, n)
			}
		}
		if len(times) != 3*step {
			t.Errorf("without %s %d rows were published", d.missing, len(times))
		}
	}
}
