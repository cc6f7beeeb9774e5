package rbd_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestObserver sees each call once, with the error that its caller got.
func TestObserver(t *testing.T) {
	_, pool, ns := labtest.Space(t)
	var mu sync.Mutex
	var seen []rbd.Attempt
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"},
		rbd.WithObserver(func(a rbd.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, a)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	images := rbd.NewImages(cluster)
	spec := rbd.ImageSpec{Pool: pool, Namespace: ns, Image: "observed"}
	if err := images.Create(t.Context(), spec, 1<<20, rbd.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := images.Create(t.Context(), spec, 1<<20, rbd.CreateOptions{}); !errors.Is(err, rbd.ErrExists) {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 || seen[0].Op != "create" || seen[0].Err != nil || seen[0].Took <= 0 || !errors.Is(seen[1].Err, rbd.ErrExists) {
		t.Errorf("seen: %+v", seen)
	}
	// A call gives its place back when its caller has the answer already.
	for range 100 {
		if inFlight, _ := cluster.Calls(); inFlight == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if inFlight, abandoned := cluster.Calls(); inFlight != 0 || abandoned != 0 {
		t.Errorf("Calls = %d, %d", inFlight, abandoned)
	}
}
