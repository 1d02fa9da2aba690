package testenv

import (
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
)

// Journal is a log that can be read while it is written. Safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// NewJournal makes a journal and a logger of level info that writes it.
func NewJournal() (*Journal, hclog.Logger) {
	j := &Journal{}
	return j, hclog.New(&hclog.LoggerOptions{Output: j, Level: hclog.Info})
}

// Write appends to the journal; it never fails.
func (j *Journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// String gives what is in the journal so far.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// Count tells how often the text is in the journal so far.
func (j *Journal) Count(text string) int { return strings.Count(j.String(), text) }
