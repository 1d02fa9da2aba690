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

// ShowLog shows the end of a log file if the test has failed by now, so it is for a
// cleanup. In a binary with ClosingShared that is done behind the last test.
func ShowLog(t TB, what, path string, lines int) {
	t.Helper()
	if t.Failed() {
		ShowText(t, "end of the log of "+what, Tail(path, lines))
	}
}

// ShowText is ShowLog for a text.
func ShowText(t TB, what, text string) {
	t.Helper()
	if !t.Failed() {
		return
	}
	failed.mu.Lock()
	defer failed.mu.Unlock()
	if !failed.later {
		t.Logf("%s:\n%s", what, text)
		return
	}
	t.Logf("%s: shown behind all tests", what)
	failed.logs = append(failed.logs, fmt.Sprintf("in %s: %s:\n%s", t.Name(), what, text))
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
