package pools

import (
	"math"
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

func TestCardPGs(t *testing.T) {
	for _, tt := range []struct {
		name                          string
		osds, target, replicas, pools int
		want                          int
	}{
		{"33.33 of the guide", 3, 100, 3, 3, 32},
		{"25, four pools", 3, 100, 3, 4, 32},
		{"50", 6, 100, 3, 4, 64},
		{"100", 12, 100, 3, 4, 128},
		{"250", 30, 100, 3, 4, 256},
		{"833", 100, 100, 3, 4, 1024},
		{"42.6", 142, 3, 10, 1, 32},
		{"46.67, where pgcalc says 64", 7, 20, 3, 1, 32},
		{"47", 47, 1, 1, 1, 32},
		{"tie at 48 goes up", 48, 1, 1, 1, 64},
		{"90", 90, 1, 1, 1, 64},
		{"tie at 96 goes up", 96, 1, 1, 1, 128},
		{"just below a tie", 4799, 1, 100, 1, 32},
		{"tie at 1.5", 3, 1, 2, 1, 2},
		{"1", 1, 1, 1, 1, 1},
		{"never below 1", 1, 1, 10, 10, 1},
		{"0.75", 3, 1, 4, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := CardPGs(tt.osds, tt.target, tt.replicas, tt.pools); got != tt.want {
				t.Errorf("CardPGs(%d, %d, %d, %d) = %d, want %d", tt.osds, tt.target, tt.replicas, tt.pools, got, tt.want)
			}
		})
	}
}

func TestPGCalcPGs(t *testing.T) {
	for _, tt := range []struct {
		osds int
		want [4]int // volumes, backups, vms, images
	}{
		{3, [4]int{64, 32, 16, 8}},
		{6, [4]int{128, 64, 32, 16}},
		{12, [4]int{256, 128, 64, 32}},
		{30, [4]int{512, 256, 128, 64}},
		{100, [4]int{2048, 1024, 512, 256}},
	} {
		for i, percent := range []float64{53, 25, 15, 7} {
			if got := PGCalcPGs(tt.osds, 100, 3, percent); got != tt.want[i] {
				t.Errorf("PGCalcPGs(%d, 100, 3, %v) = %d, want %d", tt.osds, percent, got, tt.want[i])
			}
		}
	}
}

func TestNearestGeometric(t *testing.T) {
	for x, want := range map[float64]int{33: 32, 42: 32, 46: 64, 47: 64, 48: 64, 90: 64 * 2, 96: 128, 25: 32, 0: 0, 1: 1} {
		if got := nearestGeometric(x); got != want {
			t.Errorf("nearestGeometric(%v) = %d, want %d", x, got, want)
		}
	}
}

func TestNearestLinear(t *testing.T) {
	for x, want := range map[float64]int{33.33: 32, 42.6: 32, 47: 32, 48: 64, 90: 64, 96: 128, 25: 32, 0: 0, 1.4: 1, 2: 2, 3: 4} {
		if got := nearestLinear(x); got != want {
			t.Errorf("nearestLinear(%v) = %d, want %d", x, got, want)
		}
	}
}

func TestCardProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		osds := rapid.IntRange(1, maxOSDs).Draw(t, "osds")
		target := rapid.IntRange(1, maxTarget).Draw(t, "target")
		replicas := rapid.IntRange(1, maxSize).Draw(t, "replicas")
		pools := rapid.IntRange(1, 50).Draw(t, "pools")
		got := CardPGs(osds, target, replicas, pools)
		raw := cardRaw(osds, target, replicas, pools)
		if got < 1 || bits.OnesCount(uint(got)) != 1 {
			t.Fatalf("%d is no power of two", got)
		}
		for _, other := range []int{got / 2, got * 2} { // none is nearer
			if other > 0 && raw >= 1 && math.Abs(float64(other)-raw) < math.Abs(float64(got)-raw)*(1-1e-9) {
				t.Fatalf("%v: %d is nearer than %d", raw, other, got)
			}
		}
		if more := CardPGs(osds+1, target, replicas, pools); more < got {
			t.Fatalf("one OSD more: %d instead of %d", more, got)
		}
	})
}

func TestPGCalcProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		osds := rapid.IntRange(1, 10_000).Draw(t, "osds")
		replicas := rapid.IntRange(1, maxSize).Draw(t, "replicas")
		percent := rapid.Float64Range(0, 100).Draw(t, "percent")
		got := PGCalcPGs(osds, 100, replicas, percent)
		if got < 1 || bits.OnesCount(uint(got)) != 1 {
			t.Fatalf("%d is no power of two", got)
		}
		if raw := math.Floor(100 * float64(osds) * percent / (100 * float64(replicas))); float64(got) < 0.75*raw {
			t.Fatalf("%d is more than a quarter below %v", got, raw)
		}
		if got*replicas < osds {
			t.Fatalf("%d placement groups can't reach %d OSDs", got, osds)
		}
	})
}

// TestPredictionIsTheAutoscalers compares the model with a real one; here are its corners.
func TestAutoscale(t *testing.T) {
	small := scaled{size: 3, pgMin: 1, pgMax: 32, weight: 1} // device_health_metrics
	plain := scaled{size: 3, weight: 1}
	bulk := scaled{size: 3, bulk: true, weight: 1}
	for _, tt := range []struct {
		name  string
		pools []scaled
		want  []int
	}{
		{"empty pools get the least", []scaled{small, plain, plain}, []int{1, 32, 32}},
		{"one bulk pool gets what is there", []scaled{small, plain, bulk}, []int{1, 32, 128}},
		{"two share", []scaled{small, bulk, bulk}, []int{1, 64, 64}},
		{"data counts", []scaled{{size: 3, ratio: 0.9, weight: 1}, plain}, []int{64, 32}},
		{"more than an even part", []scaled{{size: 3, ratio: 0.8, bulk: true, weight: 1}, bulk}, []int{64, 32}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := autoscale(tt.pools, 3, 100)
			for i, want := range tt.want {
				if got[i] != want {
					t.Errorf("pool %d: %d, want %d (all %v)", i, got[i], want, got)
				}
			}
		})
	}
}
