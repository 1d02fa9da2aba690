package page

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/kudu2kafka/kudu2kafka/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.ClosingShared(m)) }
