package keyring_test

import (
	"os"
	"strings"
	"testing"

	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) {
	if dir, at, ok := strings.Cut(os.Getenv(crashEnv), "|"); ok {
		os.Exit(crash(dir, at))
	}
	labtest.Main(m)
}
