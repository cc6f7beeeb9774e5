//go:build failpoint

package rbd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The build tag failpoint makes the process strike itself, for the tests that
// prove what a killed process leaves behind:
//
//	RBDCTL_FAILPOINT_KILL=N          SIGKILL to itself at the N-th point, counted from 1
//	RBDCTL_FAILPOINT_KILL_IN=CALL:D  SIGKILL to itself a duration D after the first CALL began
//	RBDCTL_FAILPOINT_LOG=FILE        appends a line for each point that is passed
//	RBDCTL_FAILPOINT_ARM=FILE        none of this before FILE is there
//
// A point lies before and after every call of librados and librbd.
var points = newFailpoints()

type failpoints struct {
	sync.Mutex
	passed, killAt int
	killIn         string
	killAfter      time.Duration
	log            *os.File
	arm            string
}

func newFailpoints() *failpoints {
	f := &failpoints{}
	f.killAt, _ = strconv.Atoi(os.Getenv("RBDCTL_FAILPOINT_KILL"))
	f.arm = os.Getenv("RBDCTL_FAILPOINT_ARM")
	call, after, _ := strings.Cut(os.Getenv("RBDCTL_FAILPOINT_KILL_IN"), ":")
	f.killIn = call
	f.killAfter, _ = time.ParseDuration(after)
	if name := os.Getenv("RBDCTL_FAILPOINT_LOG"); name != "" {
		file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err) // a test that cannot see its points must not pass
		}
		f.log = file
	}
	return f
}

// point counts one place passed, and strikes if it is the one.
func point(call, side string) {
	points.Lock()
	defer points.Unlock()
	if points.arm != "" {
		if _, err := os.Stat(points.arm); err != nil {
			return
		}
		points.arm = ""
	}
	points.passed++
	if points.log != nil {
		fmt.Fprintf(points.log, "%d %s %s %s\n", points.passed, time.Now().Format("05.000"), side, call)
	}
	if points.killIn == call && side == "before" {
		points.killIn = ""
		time.AfterFunc(points.killAfter, strike)
	}
	if points.passed == points.killAt {
		strike()
		select {} // the signal is on its way
	}
}

func strike() { syscall.Kill(os.Getpid(), syscall.SIGKILL) }
