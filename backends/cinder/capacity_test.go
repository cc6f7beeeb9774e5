package cinder

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCapacity(t *testing.T) {
	for _, tt := range []struct {
		name, quota string
		want        Stats
	}{
		{"no quota", `"quota_bytes":0,"quota_objects":0`, Stats{Used: 100, Free: 900, Total: 1000, StaticTotal: 3000}},
		{"quota", `"quota_bytes":500`, Stats{Used: 100, Free: 400, Total: 500, StaticTotal: 500, Quota: 500}},
		{"quota larger than the cluster", `"quota_bytes":5000`, Stats{Used: 100, Free: 900, Total: 1000, StaticTotal: 5000, Quota: 5000}},
		{"quota exceeded", `"quota_bytes":50`, Stats{Used: 100, Free: 0, Total: 100, StaticTotal: 50, Quota: 50}},
		{"quota on objects reached", `"quota_objects":10`, Stats{Used: 100, Free: 0, Total: 100, StaticTotal: 3000}},
		{"quota on objects far away", `"quota_objects":1000`, Stats{Used: 100, Free: 900, Total: 1000, StaticTotal: 3000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := `{"stats":{"total_bytes":3000},"pools":[
				{"name":"other","stats":{"stored":7,"max_avail":7,"objects":7}},
				{"name":"volumes","stats":{"stored":100,"max_avail":900,"objects":10,"bytes_used":300,` + tt.quota + `}}]}`
			var df dfAnswer
			if err := json.Unmarshal([]byte(text), &df); err != nil {
				t.Fatal(err)
			}
			got := Stats{Pool: "volumes"}
			tt.want.Pool = "volumes"
			got.capacity(df)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			fresh := Stats{Pool: "not counted yet"}
			if fresh.capacity(df); fresh.Total != 0 || fresh.Free != 0 {
				t.Errorf("a pool that is not counted yet: %+v", fresh)
			}
		})
	}
}

func TestMonitorAddresses(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		hosts, ports []string
		fails        bool
	}{
		{
			"two protocols",
			`{"mons":[{"addr":"10.0.0.1:6789/0","public_addrs":{"addrvec":[{"type":"v2","addr":"10.0.0.1:3300"},{"type":"v1","addr":"10.0.0.1:6789"}]}},{"addr":"10.0.0.2:6790/0"}]}`,
			[]string{"10.0.0.1", "10.0.0.2"},
			[]string{"6789", "6790"},
			false,
		},
		{"IPv6", `{"mons":[{"addr":"[fd00::1]:6789/0"}]}`, []string{"fd00::1"}, []string{"6789"}, false},
		{
			"the new protocol only",
			`{"mons":[{"addr":"-","public_addrs":{"addrvec":[{"type":"v2","addr":"10.0.0.1:3300"}]}},{"addr":"(unrecognized address family 0)/0","public_addrs":{"addrvec":[{"type":"v2","addr":"10.0.0.2:3300"}]}}]}`,
			[]string{"10.0.0.1", "10.0.0.2"},
			[]string{"3300", "3300"},
			false,
		},
		{"none", `{"mons":[]}`, nil, nil, true},
		{"no JSON", `no`, nil, nil, true},
	} {
		hosts, ports, err := monitorAddresses([]byte(tt.answer))
		if (err != nil) != tt.fails || !cmp.Equal(hosts, tt.hosts) || !cmp.Equal(ports, tt.ports) {
			t.Errorf("%s: %v, %v, %v", tt.name, hosts, ports, err)
		}
	}
}
