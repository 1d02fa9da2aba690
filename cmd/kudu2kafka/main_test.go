package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// asProgram is a variable by which this test's binary is the program itself, for
// tests that need a process of it.
const asProgram = "K2K_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}
