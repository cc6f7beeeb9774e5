package cinder

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"rbdctl/internal/fault"
)

// metadataPrefix makes a key of an image's metadata a setting of librbd.
const metadataPrefix = "conf_"

// qosPrefix begins all limits of librbd.
const qosPrefix = "rbd_qos_"

// qosKeys are librbd's limits by the keys of a Cinder QoS spec. The upstream
// driver has them in one table, with one mistake: total_iops_sec_max sets
// rbd_qos_bps_burst there.
// See: cinder/volume/drivers/rbd.py, QOS_KEY_MAP.
var qosKeys = map[string]string{ //nolint:gochecknoglobals // a constant table
	"total_iops_sec":      "rbd_qos_iops_limit",
	"read_iops_sec":       "rbd_qos_read_iops_limit",
	"write_iops_sec":      "rbd_qos_write_iops_limit",
	"total_bytes_sec":     "rbd_qos_bps_limit",
	"read_bytes_sec":      "rbd_qos_read_bps_limit",
	"write_bytes_sec":     "rbd_qos_write_bps_limit",
	"total_iops_sec_max":  "rbd_qos_iops_burst",
	"read_iops_sec_max":   "rbd_qos_read_iops_burst",
	"write_iops_sec_max":  "rbd_qos_write_iops_burst",
	"total_bytes_sec_max": "rbd_qos_bps_burst",
	"read_bytes_sec_max":  "rbd_qos_read_bps_burst",
	"write_bytes_sec_max": "rbd_qos_write_bps_burst",
}

// QoS reads limits: keys are those of a Cinder QoS spec (total_iops_sec) or of
// librbd (rbd_qos_iops_limit), values are numbers. It returns them with librbd's
// keys, without those that are 0, which is no limit. ErrInvalid is an unknown
// key, a value that is no number, one limit given twice, and a burst below its
// limit.
func QoS(spec map[string]string) (map[string]string, error) {
	limits := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(spec)) {
		name, ok := qosName(key)
		if !ok {
			return nil, fault.Newf(ErrInvalid, "qos %s: want one of %s, or librbd's name for it", key, strings.Join(slices.Sorted(maps.Keys(qosKeys)), ", "))
		}
		n, err := strconv.ParseUint(spec[key], 10, 63)
		if err != nil {
			return nil, fault.Newf(ErrInvalid, "qos %s = %q: want a whole number from 0 to 2^63-1", key, spec[key])
		}
		if _, twice := limits[name]; twice {
			return nil, fault.Newf(ErrInvalid, "qos %s: %s is given twice", key, name)
		}
		limits[name] = strconv.FormatUint(n, 10)
	}
	maps.DeleteFunc(limits, func(_, n string) bool { return n == "0" })
	return limits, checkBursts(limits)
}

func qosName(key string) (name string, ok bool) {
	if name, ok = qosKeys[key]; ok {
		return name, true
	}
	for _, name := range qosKeys {
		if key == name || key == strings.TrimSuffix(name, "limit")+"burst_seconds" {
			return key, true
		}
	}
	return "", false
}

// checkBursts refuses what librbd ignores: a burst that is less than its limit.
func checkBursts(limits map[string]string) error {
	for name, burst := range limits {
		limit, ok := limits[strings.TrimSuffix(name, "_burst")+"_limit"]
		if !ok || !strings.HasSuffix(name, "_burst") {
			continue
		}
		if len(burst) < len(limit) || (len(burst) == len(limit) && burst < limit) {
			return fault.Newf(ErrInvalid, "qos %s = %s is less than the limit, %s", name, burst, limit)
		}
	}
	return nil
}
