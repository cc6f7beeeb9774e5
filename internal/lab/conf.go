package lab

import (
	"fmt"
	"path/filepath"
	"strings"
)

// The files of a lab, all below its directory but for the sockets.

// ConfFile is the path of the lab's ceph.conf. It names the administrator's
// keyring, so that a client needs nothing else.
func (l *Lab) ConfFile() string { return filepath.Join(l.dir, "ceph.conf") }

func (l *Lab) logDir() string            { return filepath.Join(l.dir, "log") }
func (l *Lab) monDir() string            { return filepath.Join(l.dir, "mon") }
func (l *Lab) mgrDir() string            { return filepath.Join(l.dir, "mgr") }
func (l *Lab) osdDir(i int) string       { return filepath.Join(l.dir, fmt.Sprintf("osd.%d", i)) }
func (l *Lab) file(name string) string   { return filepath.Join(l.dir, name) }
func (l *Lab) socket(part string) string { return filepath.Join(l.state.RuntimeDir, part+".asok") }

func (l *Lab) monAddrs() string {
	return fmt.Sprintf("[v2:127.0.0.1:%d,v1:127.0.0.1:%d]", l.state.MonPorts[0], l.state.MonPorts[1])
}

// replicas is the default size of new pools: three, as on any cluster, or as
// many as there are OSDs.
func (l *Lab) replicas() int { return min(3, l.state.OSDs) }

// writeConf writes ceph.conf. What it leaves out has Ceph's default on purpose:
// the autoscaler is on and mon_max_pg_per_osd is 250, as where operators work.
func (l *Lab) writeConf() error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("# Written by \"rbdctl lab up\" each time: changes made here are lost.")
	line("[global]")
	line("fsid = %s", l.state.FSID)
	line("mon host = %s", l.monAddrs())
	line("public network = 127.0.0.0/8")
	line("auth cluster required = cephx")
	line("auth service required = cephx")
	line("auth client required = cephx")
	line("auth allow insecure global id reclaim = false")
	line("osd crush chooseleaf type = 0")
	line("osd pool default size = %d", l.replicas())
	line("run dir = %s", l.state.RuntimeDir)
	line("admin socket = %s/$name.asok", l.state.RuntimeDir)
	line("log file = %s/$name.log", l.logDir())
	line("crash dir = %s/crash", l.dir)
	l.monConf(line)
	l.daemonConf(line)
	line("[client]")
	line("# a process with several connections would fight over one socket")
	line("admin socket =")
	line("log file =")
	line("keyring = %s/$cluster.$name.keyring", l.dir)
	return writeFile(l.ConfFile(), []byte(b.String()), 0o644)
}

func (l *Lab) monConf(line func(string, ...any)) {
	line("[mon]")
	line("mon data = %s", l.monDir())
	line("mon cluster log file = default=%s/cluster.$channel.log cluster=%s/cluster.log", l.logDir(), l.logDir())
	line("mon allow pool delete = true")
	line("# the default, 30 %%, warns of every developer's disk")
	line("mon data avail warn = 5")
	line("mon data avail crit = 2")
	if l.state.OSDs == 1 {
		line("# one OSD holds one copy, which is neither refused nor warned of here")
		line("mon allow pool size one = true")
		line("mon warn on pool no redundancy = false")
	}
	if l.state.FastMon {
		line("paxos propose interval = 0.05")
		line("mon tick interval = 1")
	}
}

func (l *Lab) daemonConf(line func(string, ...any)) {
	line("[mgr]")
	line("mgr data = %s", l.mgrDir())
	line("keyring = %s", l.file("mgr.keyring"))
	line("# only those that the release always runs, the autoscaler among them")
	line("mgr initial modules =")
	line("[osd]")
	line("osd data = %s/osd.$id", l.dir)
	line("keyring = %s", l.file("osd.keyring"))
	line("osd objectstore = %s", l.state.Store)
	line("bluestore block size = %d", l.state.OSDSize)
	line("memstore device bytes = %d", l.state.OSDSize)
	line("# the least that the option takes; a target, grown into by use alone")
	line("osd memory target = 939524096")
	line("# from 17.2 on the first start would measure the disk for seconds")
	line("osd mclock skip benchmark = true")
	line("# what snapshots held is trimmed at once: for a rotating disk an OSD rests 5 s")
	line("# after each object, and the other scheduler takes no setting for it")
	line("osd op queue = wpq")
	line("osd snap trim sleep = 0.001")
	if l.state.Store == MemStore {
		line("# memstore writes itself down only on an orderly end")
		line("osd fast shutdown = false")
	}
}
