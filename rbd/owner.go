package rbd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// owner says which process holds an intent, well enough for another process on
// the same machine to know that it is dead, and for any client of the cluster to
// keep it from writing.
type owner struct {
	Address string `json:"address"` // the librados instance, as the monitors blocklist it
	Host    string `json:"host"`
	Boot    string `json:"boot"`   // the kernel's boot id
	PIDs    string `json:"pid_ns"` // the namespace in which PID counts
	PID     int    `json:"pid"`
	Started string `json:"started"` // the kernel's start time of PID: guards against its reuse
}

// self is this process, on the session ses.
func self(ses *session) owner {
	host, _ := os.Hostname()
	started, _ := startTime(os.Getpid())
	return owner{
		Address: ses.address,
		Host:    host,
		Boot:    bootID(),
		PIDs:    pidNamespace(),
		PID:     os.Getpid(),
		Started: started,
	}
}

// dead tells whether o is known to be gone: it ran on this machine, in this
// boot, where its number counts, and is not there. Not to know is false, so a
// process that /proc hides from us is not dead.
func (o owner) dead() bool {
	if !o.near() {
		return false
	}
	if errors.Is(syscall.Kill(o.PID, 0), syscall.ESRCH) {
		return true
	}
	started, zombie := startTime(o.PID)
	return started != "" && (started != o.Started || zombie)
}

// same tells whether o is this very process.
func (o owner) same() bool {
	started, _ := startTime(os.Getpid())
	return o.near() && o.PID == os.Getpid() && o.Started == started
}

// near tells whether o's PID counts here.
func (o owner) near() bool {
	return o.Boot != "" && o.Boot == bootID() && o.PIDs != "" && o.PIDs == pidNamespace()
}

func (o owner) String() string { return fmt.Sprintf("process %d on %s", o.PID, o.Host) }

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

func pidNamespace() string {
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return namespace
}

// startTime is field 22 of /proc/PID/stat, and whether the process is one that
// has ended and holds nothing any more; "" when that cannot be read.
func startTime(pid int) (started string, zombie bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	// The name, in parentheses, may hold anything.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:]) // from the 3rd on
	if len(fields) < 20 {
		return "", false
	}
	return fields[19], fields[0] == "Z" || fields[0] == "X"
}
