package rbd

import "strings"

// bareAddress takes what librados calls an address ("v2:10.0.0.1:0/42",
// "[v2:…,v1:…]", "10.0.0.1:0/42") to the form that a blocklist entry of one
// client instance has: "10.0.0.1:0/42".
func bareAddress(addrs string) string {
	first, _, _ := strings.Cut(strings.Trim(addrs, "[]"), ",")
	if strings.HasPrefix(addrs, "[") && !strings.ContainsAny(addrs[1:2], "v") {
		first = addrs // an IPv6 address, not a vector
	}
	for _, version := range []string{"v1:", "v2:", "any:"} {
		first = strings.TrimPrefix(first, version)
	}
	return first
}
