package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/kudu2kafka/kudu2kafka/connector"
)

// fakeAdmin keeps positions in memory.
type fakeAdmin struct {
	stored []connector.StoredOffset
	fail   error
	closed bool
	// What it was asked for, dry or not.
	altered []connector.StoredOffset
	reset   bool
	dry     bool
}

func (f *fakeAdmin) List(context.Context) ([]connector.StoredOffset, error) { return f.stored, f.fail }

func (f *fakeAdmin) Alter(_ context.Context, changes []connector.StoredOffset, dry bool) ([]connector.OffsetChange, error) {
	f.altered, f.dry = changes, dry
	var made []connector.OffsetChange
	for _, c := range changes {
		change := connector.OffsetChange{Table: c.Table, Tablet: c.Tablet, Task: 1, To: c.Position}
		for _, o := range f.stored {
			if o.Tablet == c.Tablet {
				change.From = o.Position
			}
		}
		made = append(made, change)
	}
	return made, f.fail
}

func (f *fakeAdmin) Reset(_ context.Context, dry bool) ([]connector.OffsetChange, error) {
	f.reset, f.dry = true, dry
	var made []connector.OffsetChange
	for _, o := range f.stored {
		made = append(made, connector.OffsetChange{Table: o.Table, Tablet: o.Tablet, From: o.Position})
	}
	return made, f.fail
}

func (f *fakeAdmin) Close() { f.closed = true }

// Positions as they are stored, read in November 2023.
const (
	tabletOne = "00000000000000000000000000000001"
	tabletTwo = "00000000000000000000000000000002"
	stored    = `{"version":1,"mode":"offset","phase":"streaming","table_id":"t","key":{"id":7},"primary_key":{"id":7},"snapshot":"6963200000000000000"}`
)

func newAdmin() *fakeAdmin {
	return &fakeAdmin{stored: []connector.StoredOffset{
		{Table: "orders", Tablet: tabletOne, Position: json.RawMessage(stored)},
		{Table: "orders", Tablet: tabletTwo, Position: json.RawMessage(`{"version":9}`)},
	}}
}

func (h *harness) admin(f *fakeAdmin) *harness {
	h.newOffsets = func(cfg connector.Config, w connector.WorkerConfig, _ hclog.Logger) (offsetsAdmin, error) {
		if cfg.Name != "orders" || w.GroupID != "g" {
			return nil, errors.New("another connector")
		}
		return f, nil
	}
	return h
}

func (h *harness) offsets(command string, args ...string) int {
	return h.execute(append(append([]string{"offsets", command}, h.files...), args...))
}

func TestOffsetsAreListedForPeople(t *testing.T) {
	f := newAdmin()
	h := newHarness(t, nil, "").admin(f)
	h.want(t, h.offsets("list"), exitOK)
	lines := strings.Split(h.out.String(), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[2], tabletOne) || !strings.HasSuffix(lines[2], `{"id":7}`) || !strings.Contains(lines[3], "can't be read: ") {
		t.Errorf("printed\n%s", h.out.String())
	}
	if !f.closed {
		t.Error("the connections were left open")
	}
	h = newHarness(t, nil, "").admin(&fakeAdmin{})
	h.want(t, h.offsets("list"), exitOK)
	if h.out.String() != "no position is stored\n" {
		t.Errorf("printed %q", h.out.String())
	}
}

func TestExportedOffsetsAreImported(t *testing.T) {
	f := newAdmin()
	h := newHarness(t, nil, "").admin(f)
	h.want(t, h.offsets("export"), exitOK)
	exported := h.out.String()
	if lines := strings.Split(exported, "\n"); lines[0] != `{"partition":{"table":"orders","tablet":"`+tabletOne+`"},"offset":`+stored+`}` || len(lines) != 3 {
		t.Errorf("printed\n%s", exported)
	}
	file := filepath.Join(t.TempDir(), "offsets")
	if err := os.WriteFile(file, []byte(exported), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, "-"} {
		h.out.Reset()
		h.stdin = strings.NewReader(exported)
		h.want(t, h.offsets("import", from), exitOK)
		if !f.dry || !strings.HasSuffix(h.out.String(), "2 would be changed; nothing was. With --execute they are\n") || !strings.Contains(h.out.String(), "task 1, tablet "+tabletOne+" of table orders\n  from "+stored+"\n  to   "+stored+"\n") {
			t.Errorf("dry: %t; printed\n%s", f.dry, h.out.String())
		}
		h.want(t, h.offsets("import", from, "--execute"), exitOK)
		if from == file && (f.dry || !strings.HasSuffix(h.out.String(), "2 changed\n")) {
			t.Errorf("dry: %t; printed\n%s", f.dry, h.out.String())
		}
	}
	if !slices.EqualFunc(newAdmin().stored, f.stored, func(a, b connector.StoredOffset) bool { return string(a.Position) == string(b.Position) }) {
		t.Errorf("imported %v", f.altered)
	}
}

func TestNullDeletesAPositionAndNothingElseDoes(t *testing.T) {
	f := newAdmin()
	h := newHarness(t, nil, "").admin(f)
	h.stdin = strings.NewReader(`{"partition":{"table":"orders","tablet":"x"},"offset":null}`)
	h.want(t, h.offsets("import"), exitOK)
	if len(f.altered) != 1 || f.altered[0].Position != nil || f.altered[0].Tablet != "x" || !strings.Contains(h.out.String(), "  to   nothing\n") {
		t.Errorf("altered %v; printed %s", f.altered, h.out.String())
	}
	for input, said := range map[string]string{
		`{"partition":{"table":"orders","tablet":"x"}}`:                                       "it has no member offset",
		`{"partition":{"table":"orders","tablet":"x"},"offset":null,"ofset":1}`:               "unknown field",
		`{"partition":{"table":"orders","tablet":"x"},"offset":null} nonsense`:                "reading position 2 of standard input",
		`{"partition":{"table":"orders","tablet":"x","tabled":"y"},"offset":{"version":1}}`:   "unknown field",
		`[{"partition":{"table":"orders","tablet":"x"},"offset":{"version":1,"mode":"off"}}]`: "reading position 1",
	} {
		f.altered = nil
		h := newHarness(t, nil, "").admin(f)
		h.stdin = strings.NewReader(input)
		h.want(t, h.offsets("import", "--execute"), exitUsage, said)
		if f.altered != nil {
			t.Errorf("%s was imported", input)
		}
	}
	h.want(t, h.offsets("import", filepath.Join(t.TempDir(), "gone")), exitUsage, "reading positions: open ")
}

func TestResetDeletesAllOrTheTabletsNamed(t *testing.T) {
	f := newAdmin()
	h := newHarness(t, nil, "").admin(f)
	h.want(t, h.offsets("reset"), exitOK)
	if !f.reset || !f.dry || !strings.Contains(h.out.String(), "2 would be changed; nothing was.") {
		t.Errorf("%+v; printed\n%s", f, h.out.String())
	}
	h.want(t, h.offsets("reset", "--execute"), exitOK)
	if f.dry {
		t.Error("it was a dry run")
	}
	f.reset = false
	h.want(t, h.offsets("reset", "--tablet", tabletTwo, "--execute"), exitOK)
	if f.reset || f.dry || len(f.altered) != 1 || f.altered[0].Tablet != tabletTwo || f.altered[0].Position != nil {
		t.Errorf("%+v", f)
	}
	f.altered = nil
	h.want(t, h.offsets("reset", "--tablet", tabletTwo+",nonsense"), exitUsage, `no position of a tablet "nonsense" is stored`)
	if f.altered != nil {
		t.Errorf("altered %v", f.altered)
	}
}

func TestExitCodesOfRefusedChangesSayWhetherToTryAgain(t *testing.T) {
	for code, err := range map[int]error{
		exitFailed: &connector.OffsetsBusyError{Why: "it is still run by 1 worker"},
		exitUsage:  &connector.OffsetsInvalidError{Why: "no such tablet"},
	} {
		f := newAdmin()
		f.fail = err
		h := newHarness(t, nil, "").admin(f)
		h.want(t, h.offsets("reset", "--execute"), code, err.Error()+"\n")
		if h.out.Len() > 0 || !f.closed {
			t.Errorf("printed %q, closed %t", h.out.String(), f.closed)
		}
	}
}

func TestOffsetsAreOfTheConnectorsInTheFiles(t *testing.T) {
	h := newHarness(t, nil, "")
	h.want(t, h.execute([]string{"offsets"}), exitUsage, "which of its commands?")
	h.want(t, h.execute([]string{"offsets", "list", h.files[0]}), exitUsage, "the worker's file and a connector's are needed")
	h.want(t, h.execute([]string{"offsets", "list", h.files[0], t.TempDir()}), exitUsage, "there is no connector in /")
	h.want(t, h.offsets("import", "a", "b"), exitUsage, "4 arguments are too many: of several connectors give the folder")
	h.want(t, h.offsets("list", "--connector", "order"), exitUsage, `there is no connector "order" in the files, but orders`)
}

// several is a folder with the connectors orders and users.
func (h *harness) several(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"users", "orders"} {
		text := fmt.Sprintf("name: %s\nkudu.masters: m:7051\nkudu.table: %s\ntopic: %s\n", name, name, name)
		if err := os.WriteFile(filepath.Join(folder, name+".yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOneOfSeveralConnectorsIsNamed(t *testing.T) {
	f := newAdmin()
	h := newHarness(t, nil, "").admin(f)
	folder := h.several(t)
	h.stdin = strings.NewReader(`{"partition":{"table":"orders","tablet":"x"},"offset":null}`)
	for _, command := range []string{"export", "import", "reset"} {
		h.want(t, h.execute([]string{"offsets", command, h.files[0], folder}), exitUsage, "there are 2 connectors in the files: name one by --connector: orders, users")
		if f.reset || f.altered != nil || h.out.Len() > 0 {
			t.Errorf("%s did something: %+v, %s", command, f, h.out.String())
		}
		h.stdin = strings.NewReader(`{"partition":{"table":"orders","tablet":"x"},"offset":null}`)
		h.want(t, h.execute([]string{"offsets", command, h.files[0], folder, "--connector", "orders"}), exitOK)
		h.want(t, h.execute([]string{"offsets", command, h.files[0], folder, "-c", "users"}), exitFailed, "another connector")
		f.reset, f.altered = false, nil
		h.out.Reset()
		h.stdin = strings.NewReader("")
	}
	h.want(t, h.execute([]string{"offsets", "list", h.files[0], filepath.Join(folder, "users.yaml"), filepath.Join(folder, "orders.yaml"), "--connector", "orders"}), exitOK)
	if text := h.out.String(); !strings.Contains(text, tabletOne) || strings.Contains(text, "connector") {
		t.Errorf("printed\n%s", text)
	}
}

func TestPositionsOfAllConnectorsAreListed(t *testing.T) {
	h := newHarness(t, nil, "")
	folder := h.several(t)
	closed := 0
	h.newOffsets = func(cfg connector.Config, _ connector.WorkerConfig, _ hclog.Logger) (offsetsAdmin, error) {
		return &countedAdmin{fakeAdmin{stored: []connector.StoredOffset{{Table: cfg.KuduTable, Tablet: tabletOne, Position: json.RawMessage(stored)}}}, &closed}, nil
	}
	h.want(t, h.execute([]string{"offsets", "list", h.files[0], folder}), exitOK)
	if text := h.out.String(); !strings.HasPrefix(text, "connector orders\n") || !strings.Contains(text, "\n\nconnector users\n") || strings.Count(text, tabletOne) != 2 || closed != 2 {
		t.Errorf("closed %d times; printed\n%s", closed, text)
	}
}

// countedAdmin counts how often admins are closed.
type countedAdmin struct {
	fakeAdmin
	closed *int
}

func (c *countedAdmin) Close() { *c.closed++ }
