package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"
)

// idleTime is how long a sidecar is left alone while its CPU time is counted.
const idleTime = 15 * time.Second

// footprint is what a process holds and has used, by the kernel's account.
type footprint struct {
	resident, peak int           // KiB
	anonymous      int           // KiB: resident, and no pages of the program and its libraries
	cpu            time.Duration // since its start, in user and system mode
}

func (s *sidecar) footprint() (footprint, error) {
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		return footprint{}, err
	}
	stat, err := os.ReadFile(proc + "stat")
	if err != nil {
		return footprint{}, err
	}
	// After the name, which is in brackets, utime and stime are fields 11 and 12,
	// from 0, in hundredths of a second on every Linux that Go runs on.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return footprint{}, fmt.Errorf("%sstat has %d fields", proc, len(fields))
	}
	user, err := strconv.Atoi(string(fields[11]))
	if err != nil {
		return footprint{}, err
	}
	system, err := strconv.Atoi(string(fields[12]))
	if err != nil {
		return footprint{}, err
	}
	f := footprint{cpu: time.Duration(user+system) * 10 * time.Millisecond}
	if f.resident, err = kib(status, "VmRSS"); err != nil {
		return f, err
	}
	if f.anonymous, err = kib(status, "RssAnon"); err != nil {
		return f, err
	}
	f.peak, err = kib(status, "VmHWM")
	return f, err
}

// kib is a field of /proc/PID/status.
func kib(status []byte, name string) (int, error) {
	found := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no %s in the status of the process", name)
	}
	return strconv.Atoi(string(found[1]))
}

// idle is the footprint of a sidecar that was left alone for idleTime, and the share
// of one CPU that it used.
func (s *sidecar) idle(ctx context.Context) (after footprint, share float64, err error) {
	before, err := s.footprint()
	if err != nil {
		return footprint{}, 0, err
	}
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return footprint{}, 0, ctx.Err()
	}
	after, err = s.footprint()
	return after, (after.cpu - before.cpu).Seconds() / idleTime.Seconds(), err
}

func (b *bench) sidecarMemory(ctx context.Context) (table, error) {
	st, err := b.stand(ctx)
	if err != nil {
		return table{}, err
	}
	defer st.clear()
	rounds := max(5, b.rounds/2)
	t := table{
		title: "Memory and idle CPU of the sidecar",
		note: fmt.Sprintf("By the kernel's account. The load is %d times %d requests at once. Idle CPU is the\nshare of one CPU that it uses while it is left alone for %.0f s, in which it also gives\nmemory back, once.",
			rounds, requests, idleTime.Seconds()),
		header: []string{"", "resident memory", "of it not of program files", "peak so far", "idle CPU"},
	}
	row := func(name string, f footprint, cpu string) {
		mib := func(kib int) string { return fmt.Sprintf("%d MiB", kib>>10) }
		t.rows = append(t.rows, []string{name, mib(f.resident), mib(f.anonymous), mib(f.peak), cpu})
	}
	f, share, err := st.served.idle(ctx)
	if err != nil {
		return t, err
	}
	row("idle, before the load", f, fmt.Sprintf("%.1f %%", share*100))
	for range rounds {
		if err := together(ctx, st.request); err != nil {
			return t, err
		}
	}
	if f, err = st.served.footprint(); err != nil {
		return t, err
	}
	row("at the end of the load", f, "")
	if f, share, err = st.served.idle(ctx); err != nil {
		return t, err
	}
	row(fmt.Sprintf("idle, %.0f s after the load", idleTime.Seconds()), f, fmt.Sprintf("%.1f %%", share*100))
	return t, nil
}
