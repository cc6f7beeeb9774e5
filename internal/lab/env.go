package lab

import (
	"fmt"
	"io"
	"strings"
)

// Var is an environment variable.
type Var struct{ Name, Value string }

// Env is what a shell needs to use the lab: CEPH_CONF for rbdctl and the Ceph
// tools, RBDCTL_LIBVIRT_URI for rbdctl and LIBVIRT_DEFAULT_URI for virsh. Keys are
// found through ceph.conf.
func (l *Lab) Env() []Var {
	vars := []Var{{"CEPH_CONF", l.ConfFile()}}
	if uri := l.LibvirtURI(); uri != "" {
		vars = append(vars, Var{"RBDCTL_LIBVIRT_URI", uri}, Var{"LIBVIRT_DEFAULT_URI", uri})
	}
	return vars
}

// WriteEnv writes vars as lines for a POSIX shell to evaluate.
func WriteEnv(w io.Writer, vars []Var) error {
	for _, v := range vars {
		if _, err := fmt.Fprintf(w, "export %s=%s\n", v.Name, quote(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// quote makes text one word of a POSIX shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
