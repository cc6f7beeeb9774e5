// Package sidecar is the daemon that cinder-volume delegates to: Cinder's volumes
// in Ceph, as an HTTP/JSON API on a UNIX socket.
//
//	server, err := sidecar.New(sidecar.Config{
//		Socket:  "/run/rbdctl/rbdctl.sock",
//		Listen:  "127.0.0.1:9285",
//		Cluster: rbd.Config{Entity: "client.cinder"},
//		Pool:    "volumes", ImagePool: "images",
//	})
//	…
//	err = server.Run(ctx) // until ctx ends; then it finishes what runs
//
// A handler decodes, calls one method of package cinder and encodes; what it
// could not do is a problem document (RFC 9457) with one of the kinds of package
// fault. The socket answers processes of configured users and groups only. A
// second, read-only listener has /metrics, /healthz and /readyz.
//
// Nothing is stored outside the cluster: any number of sidecars may serve the
// same pool, and each may be killed at any moment. A sidecar starts without its
// cluster, answers "unavailable" in bounded time while it is away, and finds it
// again by itself.
//
// Words: an exchange is one request with its answer; the link is the way to the
// cluster, which a reload makes anew; a chore is what is done in the background.
package sidecar
