package lab

import (
	"context"
	"os"
	"os/exec"
)

// Command is a program of the distribution (ceph, rbd, virsh, qemu-img) that
// reaches the cluster of conf. It gets the system's PATH and none of the caller's
// CEPH_ or LIBVIRT_ variables. A program that is missing shows when it is run.
func Command(ctx context.Context, conf, name string, args ...string) *exec.Cmd {
	program, err := lookPath(name)
	if err != nil {
		program = name
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{
		"PATH=" + systemPath,
		"HOME=" + os.Getenv("HOME"),
		"LANG=C.UTF-8",
		"CEPH_CONF=" + conf,
	}
	return cmd
}
