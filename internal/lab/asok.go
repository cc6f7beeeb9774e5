package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"
)

// ask sends a command to the admin socket of a Ceph daemon and decodes the
// answer into reply. A daemon that is stopped by a signal accepts and does not
// answer, hence the bound.
//
// Similar To: ceph daemon <socket> <command>
func (l *Lab) ask(part, command string, reply any) error {
	conn, err := net.DialTimeout("unix", l.socket(part), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	// The request ends with a zero byte; the answer begins with its length.
	if _, err := fmt.Fprintf(conn, "{\"prefix\": %q}\x00", command); err != nil {
		return err
	}
	var size uint32
	if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(conn, int64(size)))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, reply)
}

// The questions below are put to the daemons themselves: for many seconds after
// a crash the cluster's maps still show the dead one as up. They return nil when
// the daemon does its work.

func (l *Lab) monUp(context.Context) error {
	var s struct {
		State string `json:"state"`
	}
	if err := l.ask(monPart, "mon_status", &s); err != nil {
		return err
	}
	if s.State != "leader" && s.State != "peon" {
		return fmt.Errorf("%s is %s", monPart, s.State)
	}
	return nil
}

func (l *Lab) mgrUp(context.Context) error {
	var s struct {
		Initialized bool `json:"initialized"`
	}
	if err := l.ask(mgrPart, "mgr_status", &s); err != nil {
		return err
	}
	if !s.Initialized {
		return fmt.Errorf("%s is not initialized", mgrPart)
	}
	return nil
}

func (l *Lab) osdUp(i int) error {
	var s struct {
		State string `json:"state"`
	}
	if err := l.ask(osdPart(i), "status", &s); err != nil {
		return err
	}
	if s.State != "active" {
		return fmt.Errorf("%s is %s", osdPart(i), s.State)
	}
	return nil
}

// up asks the part whatever shows that it does its work.
func (l *Lab) up(ctx context.Context, part string) error {
	switch part {
	case monPart:
		return l.monUp(ctx)
	case mgrPart:
		return l.mgrUp(ctx)
	case libvirtPart:
		return l.libvirtUp(ctx)
	}
	var i int
	if _, err := fmt.Sscanf(part, "osd.%d", &i); err != nil {
		return err
	}
	return l.osdUp(i)
}
