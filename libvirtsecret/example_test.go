package libvirtsecret_test

import (
	"fmt"

	"rbdctl/libvirtsecret"
)

func ExampleFor() {
	secret, err := libvirtsecret.For("457e8f2c-7b1d-4a6e-9a0b-3f5c1d2e4f60", "client.cinder")
	fmt.Println(secret.UUID, err)
	fmt.Println(secret.Usage)
	// Output:
	// f5cadd0c-7e6c-4d5c-8bb4-4212b851dd67 <nil>
	// rbdctl/457e8f2c-7b1d-4a6e-9a0b-3f5c1d2e4f60/client.cinder
}
