package page

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
	"github.com/kudu2kafka/kudu2kafka/kudu/kudufake"
)

// patience is how long what must come may take on a machine that has much else to do.
const patience = 2 * time.Minute

// worker is the built program with a connector, on fake servers.
type worker struct {
	*testenv.Process
	t     *testing.T
	url   string
	kudu  *kudufake.Cluster
	table *kudufake.Table
	rows  int64
}

func startWorker(t *testing.T) *worker {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	w := &worker{t: t}
	if w.kudu, err = kudufake.New(kudufake.Options{TabletServers: 1, Loopback: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kudu.Close)
	if w.table, err = w.kudu.CreateTable(kudufake.TableSpec{
		Name: "shop.orders", Replicas: 1, Hash: []kudu.HashDimension{{Columns: []string{"id"}, Buckets: 4}},
		Columns: []kudu.Column{{Name: "id", Type: kudu.Int64, Key: true}, {Name: "text", Type: kudu.String, Nullable: true}},
	}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "worker.yaml"), filepath.Join(dir, "orders.yaml")}
	for n, text := range []string{
		fmt.Sprintf("bootstrap.servers: %s\ngroup.id: shop\nlisteners: http://127.0.0.1:0\noffsets.storage.replication.factor: 1\nconfig.storage.replication.factor: 1\nstatus.storage.replication.factor: 1\n", strings.Join(kafka.ListenAddrs(), ",")),
		fmt.Sprintf("name: orders\nkudu.masters: %s\nkudu.table: shop.orders\ntopic: orders\ntasks.max: 2\npoll.interval.ms: 20\ntransaction.boundary.interval.ms: 100\ntopic.creation.default.replication.factor: 1\n", strings.Join(w.kudu.Masters(), ",")),
	} {
		if err := os.WriteFile(files[n], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logFile := filepath.Join(dir, "log")
	if w.Process, err = testenv.StartProcess(testenv.Command{Name: "kudu2kafka", Path: testenv.Program(t, false), Args: append([]string{"run"}, files...), Log: logFile}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.Running() {
			_ = w.Kill()
		}
		testenv.ShowLog(t, "the worker", logFile, 30)
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	at := regexp.MustCompile(`REST interface listens: at=(http://\S+)`)
	line, err := w.WaitLine(ctx, at.MatchString)
	if err != nil {
		t.Fatal(err)
	}
	w.url = at.FindStringSubmatch(line)[1]
	return w
}

// insert adds rows with growing keys.
func (w *worker) insert(n int) error {
	rows := make([]kudufake.Row, n)
	for i := range rows {
		rows[i] = kudufake.Row{"id": w.rows + int64(i), "text": "two tickets"}
	}
	w.rows += int64(n)
	_, err := w.table.Insert(rows...)
	return err
}

// writes inserts rows at a steady rate until the function it returns is called.
func (w *worker) writes() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		every := time.NewTicker(50 * time.Millisecond)
		defer every.Stop()
		for {
			if err := w.insert(20); err != nil {
				w.t.Errorf("inserting rows: %v", err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
		}
	})
	return sync.OnceFunc(func() { cancel(); writing.Wait() })
}

// makes makes a connector of a table by REST.
func (w *worker) makes(name, table string) {
	w.t.Helper()
	body := fmt.Sprintf(`{"kudu.masters": %q, "kudu.table": %q, "topic": %q, "topic.creation.default.replication.factor": "1"}`, strings.Join(w.kudu.Masters(), ","), table, name)
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, w.url+"/connectors/"+name+"/config", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusCreated {
		w.t.Fatalf("making connector %s: status %d: %s", name, response.StatusCode, text)
	}
}

// tab is a page in the browser.
type tab struct {
	t      *testing.T
	ctx    context.Context //nolint:containedctx // it is how chromedp names a tab
	asked  atomic.Int32    // how often the document was
	mu     sync.Mutex
	faults []string // what the browser has complained of
}

func openTab(t *testing.T) *tab {
	t.Helper()
	browser := testenv.NewBrowser(t)
	allocated, release := chromedp.NewRemoteAllocator(t.Context(), browser.URL, chromedp.NoModifyURL)
	t.Cleanup(release)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if strings.HasSuffix(e.Request.URL, "/kudu2kafka/status") {
				b.asked.Add(1)
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				b.complain(e.Entry.Text + " " + e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			b.complain(e.ExceptionDetails.Error())
		}
	})
	// The first Run opens the tab, which ends with the context that it is given.
	if err := chromedp.Run(ctx, network.Enable(), log.Enable(), runtime.Enable()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *tab) complain(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, what)
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval gives the value of an expression in the page.
func eval[T any](b *tab, expression string) (v T) {
	b.t.Helper()
	b.run(chromedp.Evaluate(expression, &v))
	return v
}

// awaits waits until an expression is true.
func (b *tab) awaits(what, expression string) {
	b.t.Helper()
	if !testenv.Eventually(b.t.Context(), patience, func() bool { return eval[bool](b, "Boolean("+expression+")") }) {
		b.t.Fatalf("%s: did not come about; the page is\n%s", what, eval[string](b, "document.body.innerText"))
	}
}

// picture takes the page at a width, and wants nothing to be cut off there.
func (b *tab) picture(name string, width int64, scheme string) {
	b.t.Helper()
	var data []byte
	b.run(
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		emulation.SetScrollbarsHidden(true),
		chromedp.EmulateViewport(width, 800),
		chromedp.FullScreenshot(&data, 100),
	)
	if over := eval[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("at %d px the page is %d px too wide", width, over)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil || int64(picture.Bounds().Dx()) != width {
		b.t.Fatalf("the picture at %d px: %v, %v", width, err, picture.Bounds())
	}
	if os.Getenv("K2K_PICTURES") == "1" {
		if err := os.WriteFile(filepath.Join("..", "..", "docs", "img", name), data, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

const rate = `Number(document.getElementById("rows-rate")?.textContent ?? 0)`

func TestPageShowsAConnectorAtWork(t *testing.T) {
	b := openTab(t)
	w := startWorker(t)
	b.run(chromedp.Navigate(w.url))
	b.awaits("both tasks run", `document.querySelector("article .good")?.textContent === "RUNNING" && document.getElementById("totals").innerText.includes("2 of 2")`)
	if got := eval[float64](b, rate); got != 0 {
		t.Errorf("before there are rows the rate is %v", got)
	}

	stop := w.writes()
	defer stop()
	b.awaits("the rate rises", rate+" > 100")
	b.awaits("the chart follows", `(d => d && new Set([...d.matchAll(/ ([\d.]+)/g)].map(m => m[1])).size > 3)(document.querySelector("#charts path.line")?.getAttribute("d"))`)
	w.makes("payments", "shop.payments")
	b.awaits("a failure comes with its remedy", `/table not found[^]*What to do: create the table/.test(document.querySelector(".trouble p:last-child")?.closest("article").innerText ?? "")`)
	b.awaits("tablets show how far they are", `document.getElementById("connectors").textContent.includes('{"id":')`)
	// In one step: between finding it and a click of the mouse the page may make it anew.
	b.awaits("tasks can be asked for", `(s => s && (s.click(), true))([...document.querySelectorAll("summary")].find(s => s.textContent.includes("2 tasks")))`)
	b.awaits("tasks are shown when asked for", `[...document.querySelectorAll("details")].some(d => d.open)`)
	polled := b.asked.Load()
	if !testenv.Eventually(t.Context(), patience, func() bool { return b.asked.Load() >= polled+2 }) {
		t.Fatal("the page has stopped asking")
	}
	b.awaits("what was opened is open after two more answers", `[...document.querySelectorAll("details")].filter(d => d.open).length === 1`)
	b.picture("status-1200.png", 1200, "light")
	b.picture("status-400.png", 400, "dark")
	stop()
	b.awaits("the rate falls", rate+" === 0")

	w.makes("hostile", `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`)
	b.awaits("the text of an error is text", `document.getElementById("connectors").textContent.includes("<img src=x onerror=")`)
	if n := eval[int](b, `document.querySelectorAll("img, main script").length`); n != 0 || strings.Contains(eval[string](b, "document.title"), "broken") {
		t.Errorf("markup of an error has become %d elements", n)
	}

	b.run(chromedp.Evaluate(`Object.defineProperty(document, "hidden", {configurable: true, get: () => true}); document.dispatchEvent(new Event("visibilitychange"))`, nil))
	asked := b.asked.Load()
	if testenv.Eventually(t.Context(), 5*time.Second, func() bool { return b.asked.Load() > asked+1 }) {
		t.Error("the page goes on asking while it is hidden")
	}
	b.run(chromedp.Evaluate(`Object.defineProperty(document, "hidden", {configurable: true, get: () => false}); document.dispatchEvent(new Event("visibilitychange"))`, nil))
	if !testenv.Eventually(t.Context(), patience, func() bool { return b.asked.Load() > asked+1 }) {
		t.Error("the page doesn't ask when it is seen again")
	}

	b.mu.Lock()
	if len(b.faults) > 0 {
		t.Errorf("the browser complains: %q", b.faults)
	}
	b.mu.Unlock()
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	b.awaits("the page tells that the worker is gone", `!document.getElementById("trouble").hidden && document.getElementById("trouble").textContent.includes("can't be asked")`)
}
