package extsort

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(spillForever); dir != "" {
		spillUntilKilled(dir)
	}
	goleak.VerifyTestMain(m)
}
