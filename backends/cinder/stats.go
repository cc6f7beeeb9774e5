package cinder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"rbdctl/internal/fault"
)

// Stats are what Cinder's scheduler is told of the backend. All sizes are bytes
// of volumes, not of raw disk: what Ceph keeps in copies is divided out, and
// the free space is what the pool's CRUSH rule leaves before its first OSD is
// full.
// See: cinder/volume/drivers/rbd.py, _update_volume_stats.
type Stats struct {
	State       State  `json:"state"`
	FSID        string `json:"fsid"`
	Pool        string `json:"pool"`
	Total       uint64 `json:"total_bytes"`       // Free and Used; grows and shrinks with what other pools take
	StaticTotal uint64 `json:"fixed_total_bytes"` // the quota, else the raw size of the cluster's disks, as upstream has it
	Free        uint64 `json:"free_bytes"`        // also within the quotas
	Used        uint64 `json:"used_bytes"`        // stored in the pool
	Quota       uint64 `json:"quota_bytes"`       // 0: none
	Volumes     int    `json:"total_volumes"`

	QoS          bool `json:"qos_support"`
	Multiattach  bool `json:"multiattach"`
	Thin         bool `json:"thin_provisioning_support"`
	OnlineExtend bool `json:"online_extend_support"`
}

// State tells whether a backend can take requests.
type State string

// The states.
const (
	Up   State = "up"
	Down State = "down"
)

// statsTime bounds Stats where the caller did not: Cinder asks once a minute.
const statsTime = 10 * time.Second

// Stats asks the cluster. When it does not answer within ctx, or within 10 s, the
// state is down and the sizes are 0: that is no error. An error is what does not
// go away by itself, such as a pool that is not there.
//
// Similar To: ceph df detail; rbd ls <pool>
func (v Volumes) Stats(ctx context.Context) (Stats, error) {
	s := Stats{State: Down, Pool: v.Pool, QoS: true, Multiattach: true, Thin: true, OnlineExtend: true}
	ctx, cancel := context.WithTimeout(ctx, statsTime)
	defer cancel()
	full, err := v.askStats(ctx, s)
	if ctx.Err() != nil || errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrOutcomeUnknown) {
		return s, nil
	}
	return full, err
}

func (v Volumes) askStats(ctx context.Context, s Stats) (Stats, error) {
	var err error
	if s.FSID, err = v.Cluster.FSID(ctx); err != nil {
		return s, err
	}
	images, err := v.Images.List(ctx, v.Pool, "")
	if err != nil {
		return s, err
	}
	var df dfAnswer
	if err := v.ask(ctx, map[string]string{"prefix": "df", "detail": "detail"}, &df); err != nil {
		return s, err
	}
	s.capacity(df)
	for _, image := range images {
		if _, ok := ParseName(image); ok {
			s.Volumes++
		}
	}
	s.State = Up
	return s, nil
}

// ask puts a question to the monitors.
func (v Volumes) ask(ctx context.Context, question map[string]string, answer any) error {
	question["format"] = "json"
	cmd, err := json.Marshal(question)
	if err != nil {
		return err
	}
	text, err := v.Cluster.MonCommand(ctx, cmd)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("answer of the monitors to %q: %w", question["prefix"], err)
	}
	return nil
}

// dfAnswer is the part of `ceph df` that is read here.
type dfAnswer struct {
	Stats struct {
		TotalBytes uint64 `json:"total_bytes"`
	} `json:"stats"`
	Pools []struct {
		Name  string `json:"name"`
		Stats struct {
			Stored   uint64 `json:"stored"`    // before copies: what clients wrote
			MaxAvail uint64 `json:"max_avail"` // what they can still write, by the pool's rule
			Objects  uint64 `json:"objects"`

			QuotaBytes   uint64 `json:"quota_bytes"`
			QuotaObjects uint64 `json:"quota_objects"`
		} `json:"stats"`
	} `json:"pools"`
}

// usualObject is what a quota on objects is worth, each: RBD's default object
// size, in bytes.
const usualObject = 4 << 20

// capacity fills in the sizes. A quota on objects counts as if every object to
// come were full. A pool that Ceph has not counted yet, seconds after it was made,
// has none.
func (s *Stats) capacity(df dfAnswer) {
	for _, p := range df.Pools {
		if p.Name != s.Pool {
			continue
		}
		pool := p.Stats
		s.Used, s.Free, s.StaticTotal = pool.Stored, pool.MaxAvail, df.Stats.TotalBytes
		if s.Quota = pool.QuotaBytes; s.Quota != 0 {
			s.StaticTotal = s.Quota
			s.Free = min(s.Free, left(s.Quota, s.Used))
		}
		if pool.QuotaObjects != 0 {
			s.Free = min(s.Free, left(pool.QuotaObjects, pool.Objects)*usualObject)
		}
		s.Total = s.Used + s.Free
	}
}

// left is what remains of limit, never less than nothing.
func left(limit, used uint64) uint64 { return limit - min(limit, used) }
