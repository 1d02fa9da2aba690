package testenv

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if log := os.Getenv(parentVariable); log != "" {
		runParent(log)
		return
	}
	goleak.VerifyTestMain(ClosingShared(m))
}
