package cinder

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQoS(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec map[string]string
		want map[string]string // nil: invalid
	}{
		{"none", nil, map[string]string{}},
		{
			"every key of a spec",
			map[string]string{
				"total_iops_sec": "1", "read_iops_sec": "2", "write_iops_sec": "3", "total_bytes_sec": "4", "read_bytes_sec": "5", "write_bytes_sec": "6",
				"total_iops_sec_max": "7", "read_iops_sec_max": "8", "write_iops_sec_max": "9", "total_bytes_sec_max": "10", "read_bytes_sec_max": "11", "write_bytes_sec_max": "12",
			},
			map[string]string{
				"rbd_qos_iops_limit": "1", "rbd_qos_read_iops_limit": "2", "rbd_qos_write_iops_limit": "3", "rbd_qos_bps_limit": "4", "rbd_qos_read_bps_limit": "5", "rbd_qos_write_bps_limit": "6",
				"rbd_qos_iops_burst": "7", "rbd_qos_read_iops_burst": "8", "rbd_qos_write_iops_burst": "9", "rbd_qos_bps_burst": "10", "rbd_qos_read_bps_burst": "11", "rbd_qos_write_bps_burst": "12",
			},
		},
		{"librbd's names", map[string]string{"rbd_qos_iops_limit": "10", "rbd_qos_iops_burst_seconds": "2"}, map[string]string{"rbd_qos_iops_limit": "10", "rbd_qos_iops_burst_seconds": "2"}},
		{"no limit", map[string]string{"total_iops_sec": "0", "read_iops_sec": "007"}, map[string]string{"rbd_qos_read_iops_limit": "7"}},
		{"a burst of the limit", map[string]string{"total_iops_sec": "100", "total_iops_sec_max": "100"}, map[string]string{"rbd_qos_iops_limit": "100", "rbd_qos_iops_burst": "100"}},
		{"a burst below the limit", map[string]string{"total_iops_sec": "100", "total_iops_sec_max": "99"}, nil},
		{"a burst below the limit, with fewer digits", map[string]string{"total_iops_sec": "1000", "total_iops_sec_max": "999"}, nil},
		{"unknown", map[string]string{"total_iops": "1"}, nil},
		{"another setting of librbd", map[string]string{"rbd_cache": "1"}, nil},
		{"no number", map[string]string{"total_iops_sec": "many"}, nil},
		{"negative", map[string]string{"total_iops_sec": "-1"}, nil},
		{"too large", map[string]string{"total_iops_sec": "9223372036854775808"}, nil},
		{"one twice", map[string]string{"total_iops_sec": "1", "rbd_qos_iops_limit": "1"}, nil},
	} {
		got, err := QoS(tt.spec)
		if tt.want == nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v, %v, want it refused", tt.name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", tt.name, err, diff)
		}
	}
}
