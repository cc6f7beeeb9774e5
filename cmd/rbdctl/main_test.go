package main

import (
	"context"
	"os"
	"testing"

	"rbdctl/internal/lab/labtest"
)

// asProgram is the variable that makes the test binary the program itself.
const asProgram = "RBDCTL_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(untilSignal(context.Background()), os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	labtest.Main(m)
}
