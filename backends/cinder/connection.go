package cinder

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"rbdctl/internal/fault"
)

// Connection is how a hypervisor reaches a volume: the "data" of Cinder's
// connection_info, whose driver_volume_type is rbd. It has no key in it: the
// libvirt secret SecretUUID has.
// See: cinder/volume/drivers/rbd.py, initialize_connection;
// os_brick/initiator/connectors/rbd.py, connect_volume.
type Connection struct {
	Name         string   `json:"name"`  // pool/image: exactly one slash
	Hosts        []string `json:"hosts"` // of the monitors; IPv6 without brackets
	Ports        []string `json:"ports"` // as many
	ClusterName  string   `json:"cluster_name"`
	AuthEnabled  bool     `json:"auth_enabled"`
	AuthUsername string   `json:"auth_username"` // without "client."
	SecretType   string   `json:"secret_type"`
	SecretUUID   string   `json:"secret_uuid"`
	VolumeID     string   `json:"volume_id"`
	Discard      bool     `json:"discard"`
}

// Connection tells how to reach the volume id. ErrNotFound when it is not there.
//
// Similar To: ceph mon dump
func (v Volumes) Connection(ctx context.Context, id string) (Connection, error) {
	spec, err := v.volume(id)
	if err != nil {
		return Connection{}, err
	}
	if _, err := v.Images.Whole(ctx, spec); err != nil {
		return Connection{}, err
	}
	if err := v.Images.CheckSettled(ctx, spec); err != nil {
		return Connection{}, err
	}
	answer, err := v.Cluster.MonCommand(ctx, []byte(`{"prefix":"mon dump","format":"json"}`))
	if err != nil {
		return Connection{}, err
	}
	c := Connection{
		Name: v.Pool + "/" + spec.Image, ClusterName: v.ClusterName, VolumeID: id, Discard: true,
		AuthEnabled: true, AuthUsername: strings.TrimPrefix(v.Cluster.Entity(), "client."),
		SecretType: "ceph", SecretUUID: v.SecretUUID,
	}
	if c.ClusterName == "" {
		c.ClusterName = "ceph"
	}
	if c.SecretUUID == "" {
		if c.SecretUUID, err = v.Cluster.FSID(ctx); err != nil {
			return Connection{}, err
		}
	}
	c.Hosts, c.Ports, err = monitorAddresses(answer)
	return c, err
}

// monMap is the part of `mon dump` that tells where the monitors are.
type monMap struct {
	Mons []struct {
		Name  string `json:"name"`
		Addr  string `json:"addr"` // of version 1 of the protocol: 10.0.0.1:6789/0
		Addrs struct {
			Vector []struct {
				Type string `json:"type"`
				Addr string `json:"addr"`
			} `json:"addrvec"`
		} `json:"public_addrs"`
	} `json:"mons"`
}

// monitorAddresses reads the answer to `mon dump`. It takes the addresses of
// version 1, as the upstream driver does, because every client knows them; of a
// monitor that has none, the first other one.
func monitorAddresses(answer []byte) (hosts, ports []string, err error) {
	var m monMap
	if err := json.Unmarshal(answer, &m); err != nil {
		return nil, nil, fmt.Errorf("answer of the monitors to `mon dump`: %w", err)
	}
	for _, mon := range m.Mons {
		addresses := []string{mon.Addr}
		for _, a := range mon.Addrs.Vector {
			addresses = append(addresses, a.Addr)
		}
		for _, address := range addresses {
			host, port, ok := splitAddress(address)
			if ok {
				hosts, ports = append(hosts, host), append(ports, port)
				break
			}
		}
	}
	if len(hosts) == 0 {
		return nil, nil, fault.New(fault.ErrUnavailable, "`ceph mon dump` names no monitor with an address")
	}
	return hosts, ports, nil
}

// splitAddress reads host:port/nonce; false for an address that is none, which
// Ceph writes as "-" or with port 0.
func splitAddress(address string) (host, port string, ok bool) {
	address, _, _ = strings.Cut(address, "/")
	host, port, err := net.SplitHostPort(address)
	return host, port, err == nil && host != "" && port != "0"
}
