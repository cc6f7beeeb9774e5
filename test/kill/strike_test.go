package kill_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// A strike has a process killed as an environment says (see rbd/point_on.go), has the
// same done again, and tells whether the process was killed, and what is then not as it
// should be.
type strike func(how []string) (killed bool, err error)

// strikeAtCalls strikes at every stride-th native call of an operation, from a random
// one on, so many at once. RBDCTL_TEST_STRIDE is the stride.
func strikeAtCalls(t *testing.T, byDefault, atOnce int, at strike) {
	t.Helper()
	stride := number(t, "RBDCTL_TEST_STRIDE", byDefault)
	struck, first := 0, 1+rand.N(stride)
	for ; struck == 0 && first > 0 && !t.Failed(); first /= 2 { // some have few calls
		struck = strikeFrom(t, first, stride, atOnce, at)
		t.Logf("struck %d times, at call %d and every %d further", struck, first, stride)
	}
	if struck*stride < 10 {
		t.Error("hardly a strike: the failpoints are not where the calls are")
	}
}

// strikeFrom strikes at a call, and every stride-th after it, until the operation has no
// such call.
func strikeFrom(t *testing.T, first, stride, atOnce int, at strike) int {
	t.Helper()
	var struck atomic.Int64
	var over atomic.Bool
	var group errgroup.Group
	group.SetLimit(atOnce)
	for n := first; !over.Load() && !t.Failed(); n += stride {
		group.Go(func() error {
			if over.Load() {
				return nil
			}
			killed, err := at([]string{"RBDCTL_FAILPOINT_KILL=" + strconv.Itoa(n)})
			if killed {
				struck.Add(1)
			}
			if !killed || err != nil {
				over.Store(true)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	return int(struck.Load())
}

// strikeInside strikes at random moments until as many strikes as are wanted fell
// inside a native call: it had begun, and had not returned. Of a call that is over before
// a busy machine gets to strike, fewer may.
func strikeInside(t *testing.T, call string, want, atOnce int, at strike) {
	t.Helper()
	var inside, struck, reached atomic.Int64
	var moment moment
	var group errgroup.Group
	group.SetLimit(min(atOnce, want))
	dir := t.TempDir()
	tries := max(20*want, 60) // on a busy machine most strikes at a short call come too late
	for n := 0; n < tries && int(inside.Load()) < want && !t.Failed(); n++ {
		group.Go(func() error {
			after, log := moment.draw(), filepath.Join(dir, strconv.Itoa(n))
			killed, err := at([]string{"RBDCTL_FAILPOINT_KILL_IN=" + call + ":" + after.String(), "RBDCTL_FAILPOINT_LOG=" + log})
			if err != nil {
				t.Error(err)
			}
			if killed {
				struck.Add(1)
			}
			if !passed(t, log, "before "+call) {
				return nil
			}
			reached.Add(1)
			returned := passed(t, log, "after "+call)
			if killed && !returned {
				inside.Add(1)
			}
			moment.learn(after, !returned)
			return nil
		})
	}
	_ = group.Wait()
	t.Logf("struck %d times, %d of them inside %s", struck.Load(), inside.Load(), call)
	short := int(reached.Load()) >= tries/2 && time.Duration(moment.bound.Load()) < 5*leastBound
	if int(inside.Load()) < want && !short && !t.Failed() {
		t.Errorf("struck %d times inside %s, want %d: is that the call that does it?", inside.Load(), call, want)
	}
}

// moment draws when after the beginning of a call it is struck: up to a bound that
// learns how long the call takes.
type moment struct{ bound atomic.Int64 } // nanoseconds; 0: nothing is known yet

const (
	firstBound = 10 * time.Millisecond
	leastBound = 200 * time.Microsecond
)

func (m *moment) draw() time.Duration {
	m.bound.CompareAndSwap(0, int64(firstBound))
	return rand.N(time.Duration(m.bound.Load()))
}

// learn is told whether a strike fell inside. A bound that two change at a time is as
// good as one of theirs.
func (m *moment) learn(after time.Duration, inside bool) {
	bound := time.Duration(m.bound.Load())
	if inside {
		bound += bound / 4
	} else {
		bound = max(min(bound, after), leastBound)
	}
	m.bound.Store(int64(bound))
}

// passed tells whether a point is in the log.
func passed(t *testing.T, log, point string) bool {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Error(err)
	}
	return strings.Contains(string(text), " "+point+"\n")
}

// number is a figure of the environment.
func number(t testing.TB, name string, byDefault int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return byDefault
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number from 1", name, text)
	}
	return n
}

// digest is the SHA-256 of content that zeroes follow up to size bytes.
func digest(content []byte, size int) string {
	hash := sha256.New()
	hash.Write(content)
	hash.Write(make([]byte, size-len(content)))
	return hex.EncodeToString(hash.Sum(nil))
}

func sum(t testing.TB, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }
