package testenv

import (
	"fmt"
	"io"
	"sync"
)

// failed holds the ends of logs for the end of the tests, so that they don't hide
// in between what it is that failed.
var failed struct {
	mu    sync.Mutex
	later bool // somebody prints them: see ClosingShared
	logs  []string
}

// ShowLog shows the end of a log if the test has failed by now, so it is for a
// cleanup. In a binary with ClosingShared that is done behind the last test.
func ShowLog(t TB, what, path string, lines int) {
	t.Helper()
	if !t.Failed() {
		return
	}
	end := fmt.Sprintf("end of the log of %s:\n%s", what, Tail(path, lines))
	failed.mu.Lock()
	defer failed.mu.Unlock()
	if !failed.later {
		t.Logf("%s", end)
		return
	}
	t.Logf("the end of the log of %s is shown behind all tests", what)
	failed.logs = append(failed.logs, "in "+t.Name()+": "+end)
}

// printFailed writes the logs that were held back.
func printFailed(to io.Writer) {
	failed.mu.Lock()
	defer failed.mu.Unlock()
	for _, log := range failed.logs {
		fmt.Fprintf(to, "%s\n\n", log)
	}
	failed.logs = nil
}
