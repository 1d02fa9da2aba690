package secured

import (
	"context"
	"flag"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
	"github.com/kudu2kafka/kudu2kafka/kudu"
)

func TestMain(m *testing.M) {
	// Parallel tests wait for ends of lives most of the time, and not for a processor. A
	// number on the command line comes after this one.
	if err := flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)+3)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(testenv.WithOverlay(testenv.ClosingShared(m)), goleak.Cleanup(func(code int) {
		removeBinary()
		os.Exit(code)
	}))
}

// The user that tests are, and what must never be seen of it.
const (
	user     = "alice"
	password = "Geheim-4711"
)

// patience is how long what must come may take on a machine that has much else to do.
// Nothing waits for its end unless it fails.
const patience = 2 * time.Minute

// keepsSecrets fails the test if the text has a secret.
func keepsSecrets(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, password) {
		t.Errorf("the password is in %s:\n%s", where, text)
	}
}

// newClient makes a client that is closed with the test. No secret may be in its log.
func newClient(t *testing.T, cfg kudu.Config) (*kudu.Client, *testenv.Journal) {
	t.Helper()
	log := &testenv.Journal{}
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: log})
	c, err := kudu.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		keepsSecrets(t, "the log", log.String())
		testenv.ShowText(t, "the client's log", log.String())
	})
	return c, log
}

// addUser makes the user's principal, whose tickets last so long, and gives its
// keytab.
func addUser(t *testing.T, kdc *testenv.KDC, life time.Duration) (keytab string) {
	t.Helper()
	if err := kdc.AddUser(t.Context(), user, password, life); err != nil {
		t.Fatal(err)
	}
	keytab, err := kdc.Keytab(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return keytab
}

// within bounds an operation that should not take long.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// newTable makes a table of one tablet with a number of rows.
func newTable(t *testing.T, c *kudu.Client, name string, rows int) *kudu.Table {
	t.Helper()
	table, err := c.CreateTable(t.Context(), kudu.TableSpec{
		Name: name,
		Columns: []kudu.Column{
			{Name: "id", Type: kudu.Int64, Key: true},
			{Name: "text", Type: kudu.String, Nullable: true},
		},
		Range:    []string{"id"},
		Replicas: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	insert(t, table, 0, rows)
	return table
}
