package keyring_test

import (
	"fmt"

	"rbdctl/keyring"
)

func ExampleParseCaps() {
	documented, err := keyring.ParseCaps("mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=images'")
	if err != nil {
		fmt.Println(err)
		return
	}
	typed, err := keyring.ParseCaps(`osd "profile rbd-read-only pool='images',profile rbd  pool volumes" mon "allow profile rbd"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(documented.Equal(typed))

	_, err = keyring.ParseCaps("osd 'profile rdb pool=volumes'")
	fmt.Println(err)
	// Output:
	// true
	// osd cap "profile rdb pool=volumes": unknown profile "rdb": want one of rbd, rbd-read-only, read-only, read-write
}

func ExampleStandard() {
	desired, err := keyring.Standard(keyring.Separate, keyring.Pools{Volumes: "ssd-volumes"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(desired[0].Entity, desired[0].Caps)
	// Output:
	// client.cinder mon 'profile rbd' mgr 'profile rbd pool=ssd-volumes' osd 'profile rbd pool=ssd-volumes, profile rbd-read-only pool=images'
}

func ExampleKey() {
	key, err := keyring.ParseKey([]byte("AQABAgMEBQYHCBAAAAECAwQFBgcICQoLDA0ODw=="))
	fmt.Println(key, err)
	fmt.Println(key.Type(), key.Fingerprint())
	// Output:
	// [redacted] <nil>
	// aes sha256:1323981c065b93b8
}
