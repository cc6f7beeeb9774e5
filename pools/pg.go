package pools

import (
	"math"
	"math/bits"

	"rbdctl/internal/fault"
)

// A Formula turns a number of OSDs into a number of placement groups.
type Formula string

const (
	// Card shares the OSDs out evenly: ((OSDs × target) / replicas) / pools, to
	// the nearest power of two. It is the default.
	Card Formula = "card"
	// PGCalc weighs the pools by the data they are expected to hold, as the
	// calculator of Ceph's documentation does.
	PGCalc Formula = "pgcalc"
)

// DefaultTarget is the number of PG replicas per OSD that a plan aims at.
const DefaultTarget = 100

// ParseFormula accepts "card" and "pgcalc"; the empty text means card.
func ParseFormula(text string) (Formula, error) {
	switch f := Formula(text); f {
	case "":
		return Card, nil
	case Card, PGCalc:
		return f, nil
	}
	return "", fault.New(ErrInvalid, "rule "+quote(text)+": want card or pgcalc")
}

// CardPGs is the card's pg_num of one of pools equal pools: the power of two
// nearest to ((osds × target) / replicas) / pools, the higher one if two are
// equally near, and never below 1. Every argument must be positive.
//
// The arithmetic is exact: 33.33 gives 32, 48 gives 64.
func CardPGs(osds, target, replicas, pools int) int {
	num, den := uint64(osds)*uint64(target), uint64(replicas)*uint64(pools)
	if num < den {
		return 1
	}
	lower := uint64(1) << (bits.Len64(num/den) - 1)
	if 2*num >= 3*lower*den { // at or above the middle, 1.5 × lower
		return int(2 * lower)
	}
	return int(lower)
}

// cardRaw is what CardPGs rounds.
func cardRaw(osds, target, replicas, pools int) float64 {
	return float64(osds) * float64(target) / float64(replicas) / float64(pools)
}

// PGCalcPGs is pgcalc's pg_num of a pool that is expected to hold percent of
// the data: target × osds × percent / replicas, to the geometrically nearest
// power of two, doubled if that is more than 25 % too low, and never below what
// spreads the pool over all OSDs.
//
// It follows the calculator's code, which is stricter than its own text: the
// switch is at √2 and not at 1.5, and the minimum is doubled while it is below
// the number of OSDs.
func PGCalcPGs(osds, target, replicas int, percent float64) int {
	raw := math.Floor(float64(target) * float64(osds) * percent / (100 * float64(replicas)))
	least := nearestGeometric(float64(osds/replicas) + 1)
	if least < osds {
		least *= 2
	}
	return max(nearestGeometric(raw), least)
}

// nearestGeometric is the power of two nearest to x on a logarithmic scale,
// or the next one when that is below three quarters of x. Below 1 it is 0.
func nearestGeometric(x float64) int {
	if x < 1 {
		return 0
	}
	p := math.Exp2(math.Round(math.Log2(x)))
	if p < 0.75*x {
		p *= 2
	}
	return int(p)
}
