package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// runPools runs a command below pools, as typed, and returns what it printed
// and its exit status.
func runPools(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errOut bytes.Buffer
	e := newEnv(strings.NewReader(""), &out, &errOut)
	app := newApp(e)
	group := poolsCommand(e)
	prepare(e, "rbdctl "+group.Name, group)
	app.Commands = []*cli.Command{group}
	if err := app.RunContext(t.Context(), append([]string{"rbdctl", "pools"}, args...)); err != nil {
		status = e.fail(err)
	}
	return out.String(), errOut.String(), status
}

// planJSON is the part of pools plan --output json that scripts rely on.
type planJSON struct {
	Pools []struct {
		Name  string `json:"name"`
		PGNum int    `json:"pg_num"`
	} `json:"pools"`
	Replicas struct {
		Mean float64 `json:"mean"`
		Max  float64 `json:"max"`
	} `json:"pg_replicas_per_osd"`
}

func TestPoolsPlanOffline(t *testing.T) {
	for _, tt := range []struct {
		name      string
		args      string
		want      []int
		mean, max float64
	}{
		{"the guide's three", "--osds 3 --size 3 --pools volumes,vms,images", []int{32, 32, 32}, 96, 96},
		{"the four", "--osds 3 --size 3 --pools volumes,vms,images,backups", []int{32, 32, 32, 32}, 128, 128},
		{"twelve", "--osds 12 --size 3 --pools volumes,vms,images,backups", []int{128, 128, 128, 128}, 128, 128},
		{"pgcalc", "--osds 12 --size 3 --pools volumes,vms,images,backups --rule pgcalc", []int{256, 64, 32, 128}, 120, 120},
		{"thirty", "--osds 30 --size 3", []int{256, 256, 256, 256}, 102.4, 102.4},
		{"target", "--osds 12 --size 3 --target 200 --pools volumes", []int{1024}, 256, 256},
		{"one host heavier", "--osds 4 --hosts 3 --size 3 --pools volumes", []int{128}, 96, 128},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := append([]string{"plan"}, strings.Fields(tt.args)...)
			if tt.name == "target" {
				args = append(args, "--max-pg-per-osd", "300")
			}
			out, errOut, status := runPools(t, append(args, "--output", "json")...)
			if status != 0 || errOut != "" {
				t.Fatalf("status %d, stderr %q", status, errOut)
			}
			var plan planJSON
			if err := json.Unmarshal([]byte(out), &plan); err != nil {
				t.Fatal(err)
			}
			for i, p := range plan.Pools {
				if p.PGNum != tt.want[i] {
					t.Errorf("%s: pg_num %d, want %d", p.Name, p.PGNum, tt.want[i])
				}
			}
			if len(plan.Pools) != len(tt.want) {
				t.Errorf("%d pools, want %d", len(plan.Pools), len(tt.want))
			}
			if math.Abs(plan.Replicas.Mean-tt.mean) > 1e-6 || math.Abs(plan.Replicas.Max-tt.max) > 1e-6 {
				t.Errorf("replicas per OSD %v and %v, want %v and %v", plan.Replicas.Mean, plan.Replicas.Max, tt.mean, tt.max)
			}
		})
	}
}

func TestPoolsPlanRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, args, stderr string
		shows              bool // the plan is printed beside the refusal
	}{
		{"size above the OSDs", "--osds 2 --size 3", "size 3 needs 3 failure domains (osd)", false},
		{"size above the hosts", "--osds 12 --hosts 2 --size 3", "size 3 needs 3 failure domains (host)", false},
		{"no OSDs", "--osds 0 --size 3", "0 OSDs", false},
		{"fewer than none", "--osds -1", "-1 OSDs", false},
		{"size 0", "--osds 3 --size 0", "--size 0", false},
		{"size 11", "--osds 30 --size 11", "size 11: want 1 to 10", false},
		{"target 0", "--osds 3 --target 0", "--target 0", false},
		{"huge target", "--osds 3 --target 99999999999", "want 1 to 10000", false},
		{"unknown rule", "--osds 3 --rule best", `rule "best"`, false},
		{"unknown policy", "--osds 3 --pg-policy loose", `PG policy "loose"`, false},
		{"no name", "--osds 3 --pools volumes,,vms", "pool without a name", false},
		{"twice", "--osds 3 --pools volumes,volumes", "named twice", false},
		{"a slash", "--osds 3 --pools a/b", `pool name "a/b"`, false},
		{"an at", "--osds 3 --pools a@b", `pool name "a@b"`, false},
		{"hosts without OSDs", "--hosts 3", "--osds with it", false},
		{"more hosts than OSDs", "--osds 3 --hosts 4", "4 hosts for 3 OSDs", false},
		{"an operand", "--osds 3 volumes", "got 1 operands", false},
		{"unknown class", "--osds 3 --class ssd", `device class "ssd"`, false},
		{"unknown CRUSH rule", "--osds 3 --crush-rule fast", `CRUSH rule "fast"`, false},
		{"too many PGs", "--osds 3 --size 3 --target 300", "mon_max_pg_per_osd 250", true},
		{"pg_num beyond all limits", "--osds 100000 --size 1 --target 100 --pools volumes --max-pg-per-osd 99999", "mon_max_pool_pg_num", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, errOut, status := runPools(t, append([]string{"plan"}, strings.Fields(tt.args)...)...)
			if status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			last := strings.TrimSpace(errOut[strings.LastIndex(errOut, "rbdctl: "):])
			if !strings.Contains(last, tt.stderr) || strings.Contains(last, "\n") {
				t.Errorf("stderr %q, want one line with %q", errOut, tt.stderr)
			}
			if (out != "") != tt.shows {
				t.Errorf("stdout %q", out)
			}
		})
	}
}

func TestPoolsPlanNamesTheWaysOut(t *testing.T) {
	_, errOut, _ := runPools(t, "plan", "--osds", "3", "--size", "3", "--target", "240")
	for _, way := range []string{"--target 191", "--rule pgcalc", "add OSDs (4 bear", "raise mon_max_pg_per_osd to 256"} {
		if !strings.Contains(errOut, way) {
			t.Errorf("%q does not name %q", errOut, way)
		}
	}
	// Each way is one: taken, the plan passes.
	for _, args := range [][]string{{"--target", "191"}, {"--target", "240", "--max-pg-per-osd", "256"}} {
		if _, errOut, status := runPools(t, append([]string{"plan", "--osds", "3", "--size", "3"}, args...)...); status != 0 {
			t.Errorf("%v: status %d, %s", args, status, errOut)
		}
	}
}

func TestPoolsPlanFits80Columns(t *testing.T) {
	out, _, status := runPools(t, "plan", "--osds", "1000", "--hosts", "100")
	if status != 0 {
		t.Fatalf("exit status %d", status)
	}
	for line := range strings.Lines(out) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestPoolsPlanCommands(t *testing.T) {
	out, _, status := runPools(t, "plan", "--osds", "3", "--pools", "volumes,images", "--pg-policy", "floor", "--output", "commands")
	want := `ceph osd pool create volumes 64 64 replicated --rule replicated_rule --autoscale-mode on --size 3 --pg-num-min 64
ceph osd pool create images 64 64 replicated --rule replicated_rule --autoscale-mode on --size 3 --pg-num-min 64
rbd pool init volumes
rbd pool init images
ceph osd pool set volumes nodelete true
ceph osd pool set images nodelete true
ceph osd set-require-min-compat-client mimic
`
	if status != 0 || out != want {
		t.Errorf("status %d, commands:\n%swant:\n%s", status, out, want)
	}
}
