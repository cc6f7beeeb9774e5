package pools

import "math/bits"

// AutoscalerModel names the releases whose autoscaler the predictions follow.
// Later ones share the placement groups out in another way.
const AutoscalerModel = "Ceph 16.2 to 19.2"

// autoscalerMin is the pg_num below which the autoscaler takes no pool that
// does not ask for less with pg_num_min.
const autoscalerMin = 32

// autoscalerThreshold is the factor by which pg_num must be off before the
// autoscaler acts.
const autoscalerThreshold = 3

// scaled is one pool as the autoscaler sees it.
type scaled struct {
	size   int
	ratio  float64 // part of the raw capacity that the pool uses or was promised
	bulk   bool
	pgMin  int // pg_num_min; 0 means none
	pgMax  int // pg_num_max; 0 means none
	weight float64
}

// autoscale predicts pg_num of every pool below one CRUSH root, as the
// autoscaler of AutoscalerModel would set it if all had mode "on". Pools with
// little data are served first, by what they use; then the bulk pools that use
// more than an even part; then the other bulk pools share what is left.
func autoscale(pools []scaled, osds, target int) []int {
	out := make([]int, len(pools))
	left := osds * target
	served := 0
	give := func(i int, ratio float64) {
		p := pools[i]
		used := ratio * float64(left)
		out[i] = p.clamp(nearestLinear(used / float64(p.size) * p.weight))
		left -= int(used)
		served++
	}

	var bulk, even []int
	for i, p := range pools {
		if p.bulk {
			bulk = append(bulk, i)
			continue
		}
		give(i, p.ratio)
	}
	for _, i := range bulk {
		if share := 1 / float64(len(pools)-served); pools[i].ratio > share {
			give(i, pools[i].ratio)
		} else {
			even = append(even, i)
		}
	}
	for _, i := range even {
		share := float64(left) / float64(len(even))
		out[i] = pools[i].clamp(nearestLinear(share / float64(pools[i].size) * pools[i].weight))
	}
	return out
}

// clamp applies pg_num_min and pg_num_max.
func (p scaled) clamp(pgs int) int {
	least := p.pgMin
	if least == 0 {
		least = autoscalerMin
	}
	pgs = max(least, pgs)
	if p.pgMax > 0 {
		pgs = min(pgs, p.pgMax)
	}
	return pgs
}

// nearestLinear is the autoscaler's rounding: the nearest power of two, the
// higher one if two are equally near.
func nearestLinear(n float64) int {
	whole := int(n)
	if whole < 1 {
		return 0
	}
	high := 1
	if whole > 1 {
		high = 1 << bits.Len(uint(whole-1))
	}
	low := high / 2
	if float64(high)-n > n-float64(low) {
		return low
	}
	return high
}

// Prediction is what the autoscaler would make of a pool.
type Prediction struct {
	PGNum       int    `json:"pg_num"`      // with mode on and no bulk flag
	Bulk        int    `json:"bulk_pg_num"` // with the bulk flag on the pools that hold the bulk of the data
	WouldAdjust bool   `json:"would_adjust"`
	Model       string `json:"model"` // the releases that the prediction follows
}

// wouldAdjust tells whether the autoscaler would act on the difference.
func wouldAdjust(now, ideal int) bool {
	return ideal > now*autoscalerThreshold || ideal*autoscalerThreshold < now
}
