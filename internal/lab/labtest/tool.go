package labtest

import "testing"

// Tool runs another tool of Ceph's that takes the cluster from CEPH_CONF, such
// as rados, and returns its standard output.
func Tool(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	return mustRun(t, Conf(t), name, args...)
}
