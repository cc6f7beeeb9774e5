package pools_test

import (
	"testing"

	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }
