// Package labtest gives tests a real Ceph cluster and a real libvirt.
//
// A package that uses it has one line of set-up:
//
//	func TestMain(m *testing.M) { labtest.Main(m) }
//
//	func TestClone(t *testing.T) {
//		cluster, pool, ns := labtest.Space(t)
//		…
//
// The cluster is the one that RBDCTL_TEST_CEPH_CONF names (command labrun sets
// it, and so does "make test"), else a lab of the package's own, with one
// memstore OSD, made when a test first asks and gone when the package's tests
// end, however they end. A test that can have neither fails: only -short leaves
// it out. Nothing here passes by skipping.
//
// Each package has one pool and each test a namespace of its own in it, so
// tests do not see each other. What a test leaves in its namespace is removed;
// what it leaves open in its process fails the package.
//
// [Conf], [Ceph], [RBD], [Pool], [FreshPool], [LibvirtURI], [Needs] and [Lab] need no
// cgo. [Cluster] and [Space], which hand out a connection, do.
package labtest
