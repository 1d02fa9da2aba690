package status

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kudu2kafka/kudu2kafka/internal/herder"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// fakeSource shows what a test says.
type fakeSource struct {
	mu    sync.Mutex
	shows herder.Overview
	asked int // tablets
}

func (s *fakeSource) Overview(_ context.Context, tablets int) herder.Overview {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = tablets
	return s.shows
}

// overview has one connector, whose tasks are given, seen by worker a.
func overview(at time.Time, tasks ...herder.TaskOverview) herder.Overview {
	c := herder.ConnectorOverview{Name: "c", State: "RUNNING", Target: "RUNNING", Mode: "offset", Table: "t", Topic: "rows", Tasks: tasks, Tablets: []herder.TabletOverview{}}
	for _, t := range tasks {
		c.Rows += t.Rows
		c.Bytes += t.Bytes
	}
	return herder.Overview{
		Time: at, WorkerID: "a", GroupID: "g", Version: "v1", Health: herder.Health{Status: "healthy", Message: "fine"},
		Workers: []herder.WorkerOverview{{ID: "a", Self: true}}, Connectors: []herder.ConnectorOverview{c},
	}
}

func task(id int, worker string, generation int32, rows int64) herder.TaskOverview {
	return herder.TaskOverview{ID: id, State: "RUNNING", WorkerID: worker, Generation: generation, TaskCounts: herder.TaskCounts{Rows: rows, Bytes: rows * 10}}
}

func TestRatesAreThoseOfTheLastTenSeconds(t *testing.T) {
	source := &fakeSource{}
	r := NewRecorder(source)
	at := noon
	look := func(tasks ...herder.TaskOverview) Rates {
		source.shows = overview(at, tasks...)
		r.note(source.shows)
		at = at.Add(interval)
		return r.Snapshot(t.Context(), 0).Connectors[0].Rates
	}
	for _, step := range []struct {
		what  string
		tasks []herder.TaskOverview
		want  float64
	}{
		{"what was counted before the first look is no rate", []herder.TaskOverview{task(0, "a", 1, 1000)}, 0},
		{"200 rows in 2 s", []herder.TaskOverview{task(0, "a", 1, 1200)}, 100},
		{"the mean of 4 s", []herder.TaskOverview{task(0, "a", 1, 1200)}, 50},
		{"a task of this worker that is new counts from 0", []herder.TaskOverview{task(0, "a", 1, 1200), task(1, "a", 2, 100)}, 50},
		{"one of another worker doesn't, since nobody knows when it began", []herder.TaskOverview{task(0, "a", 1, 1200), task(1, "a", 2, 100), task(2, "b", 2, 9000)}, 37.5},
		{"nobody has it for a moment", []herder.TaskOverview{task(0, "", 1, 0), task(1, "a", 2, 100), task(2, "b", 2, 9000)}, 30},
		{"a task that moved begins anew", []herder.TaskOverview{task(0, "b", 3, 40), task(1, "a", 2, 100), task(2, "b", 2, 9000)}, 14},
	} {
		if got := look(step.tasks...); got.Rows != step.want || got.Bytes != step.want*10 {
			t.Errorf("%s: got %v, want %v", step.what, got, step.want)
		}
	}
	for range points + 10 {
		look(task(0, "b", 3, 40), task(1, "a", 2, 100), task(2, "b", 2, 9000))
	}
	got := r.Snapshot(t.Context(), 0)
	if h := got.Connectors[0].History; len(h.Rows) != points || len(h.Bytes) != points || h.Rows[points-1] != 0 {
		t.Errorf("the history has %d and %d points, want %d", len(h.Rows), len(h.Bytes), points)
	}
	if len(got.Totals.History.Rows) != points {
		t.Errorf("that of the totals has %d points", len(got.Totals.History.Rows))
	}
	source.shows.Connectors = nil
	r.note(source.shows)
	if len(r.series) != 0 || len(r.tasks) != 0 {
		t.Errorf("of a connector that is gone %d series and %d tasks are kept", len(r.series), len(r.tasks))
	}
}

func TestRecorderLooksWithoutBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &fakeSource{}
		r := NewRecorder(source)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		source.shows = overview(time.Now(), task(0, "a", 1, 0))
		running.Go(func() { r.Run(ctx) })
		synctest.Wait()
		source.mu.Lock()
		source.shows = overview(time.Now().Add(interval), task(0, "a", 1, 600))
		source.mu.Unlock()
		time.Sleep(interval + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if got := r.Snapshot(ctx, 0).Totals; got.Rates.Rows != 300 || got.TaskCounts.Rows != 600 || got.TasksRunning != 1 {
			t.Errorf("totals are %+v", got)
		}
		stop()
		running.Wait()
	})
}

// ask sends a request to the handlers as they are served.
func ask(t *testing.T, r *Recorder, path string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range r.Handlers() {
		mux.Handle(pattern, h)
	}
	mux.Handle("GET /{$}", Page())
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w
}

func TestDocumentHasNoMarkupAndListsAsManyTabletsAsAskedFor(t *testing.T) {
	source := &fakeSource{shows: overview(noon, herder.TaskOverview{ID: 0, State: "FAILED", WorkerID: "a", Trace: `</script><img src=x onerror=alert(1)>`})}
	r := NewRecorder(source)
	w := ask(t, r, Path)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" || source.asked != defaultTablets {
		t.Errorf("status %d, %v, %d tablets", w.Code, w.Header(), source.asked)
	}
	if strings.ContainsAny(w.Body.String(), "<>") {
		t.Errorf("it has markup: %s", w.Body)
	}
	var got struct {
		Totals     struct{ TasksFailed, ConnectorsFailed int }
		Connectors []struct{ Tasks []struct{ Trace string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Connectors[0].Tasks[0].Trace != `</script><img src=x onerror=alert(1)>` {
		t.Errorf("it reads as %+v, %v", got, err)
	}
	for path, want := range map[string]int{Path + "?tablets=0": 200, Path + "?tablets=1000": 200, Path + "?tablets=1001": 400, Path + "?tablets=-1": 400, Path + "?tablets=x": 400} {
		w := ask(t, r, path)
		if w.Code != want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: status %d, want %d: %.80s", path, w.Code, want, w.Body)
		}
	}
}

// What the page may load is what is served here: nothing inline, nothing from
// elsewhere.
func TestPageLoadsOnlyWhatItsPolicyAllows(t *testing.T) {
	r := NewRecorder(&fakeSource{shows: overview(noon)})
	page := ask(t, r, "/")
	body := page.Body.String()
	if page.Code != http.StatusOK || page.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(body, "<!DOCTYPE html>") {
		t.Fatalf("status %d, %v", page.Code, page.Header())
	}
	csp := page.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !slices.Contains(strings.Split(csp, "; "), want) {
			t.Errorf("the policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
		t.Errorf("the policy is lax: %s", csp)
	}
	if page.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("its type may be guessed")
	}
	loaded := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(loaded) != 3 {
		t.Errorf("the page loads %v, want its icon, style and script", loaded)
	}
	for _, l := range loaded {
		if w := ask(t, r, l[1]); w.Code != http.StatusOK || w.Body.Len() == 0 || !strings.HasPrefix(l[1], PagePath) {
			t.Errorf("%s: status %d", l[1], w.Code)
		}
	}
	if inline := regexp.MustCompile(`(?i)<style|<script>|\son[a-z]+=|style=|javascript:`).FindString(body); inline != "" {
		t.Errorf("the page has %q in it, which the policy forbids", inline)
	}
	script := ask(t, r, PagePath+"status.js").Body.String()
	for _, risky := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "https:"} {
		if strings.Contains(script, risky) {
			t.Errorf("the script uses %s", risky)
		}
	}
}

func TestFirstCatchUpHasAShareAndATimeLeftWhereRowsTellThem(t *testing.T) {
	at := func(change func(c *herder.ConnectorOverview)) *CatchUp {
		o := overview(noon, task(0, "a", 1, 200), task(1, "b", 1, 50))
		c := &o.Connectors[0]
		c.Behind, c.TableRows = 3, 1000
		change(c)
		return catchUpOf(c, 25)
	}
	if got := at(func(*herder.ConnectorOverview) {}); got == nil || *got != (CatchUp{Part: 0.25, LeftMillis: 30_000}) {
		t.Errorf("250 of 1000 rows, at 25 per second: %+v", got)
	}
	for name, change := range map[string]func(c *herder.ConnectorOverview){
		"caught up":            func(c *herder.ConnectorOverview) { c.Behind = 0 },
		"size not known":       func(c *herder.ConnectorOverview) { c.TableRows = 0 },
		"more than were there": func(c *herder.ConnectorOverview) { c.TableRows = 249 },
		"gone on with":         func(c *herder.ConnectorOverview) { c.Tasks[1].Resumed = true },
	} {
		if got := at(change); got != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	o := overview(noon, task(0, "a", 1, 200))
	o.Connectors[0].Behind, o.Connectors[0].TableRows = 1, 1000
	if got := catchUpOf(&o.Connectors[0], 0); got == nil || got.LeftMillis != 0 {
		t.Errorf("without a rate: %+v", got)
	}
	s := NewRecorder(&fakeSource{shows: o}).Snapshot(t.Context(), 0)
	var text strings.Builder
	if err := Write(&text, &s, TextOptions{}); err != nil || !strings.Contains(text.String(), "\nc: 20% of about 1000 rows published\n") {
		t.Errorf("printed %q, %v", text.String(), err)
	}
}
