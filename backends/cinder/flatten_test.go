package cinder

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"rbdctl/rbd"
)

// TestSoftDepth: a clone with too many parents is made, and then flattened in the
// background; the same request stays success before, during and after it, and
// another one a conflict. The source's snapshot goes with it. A temporary volume is only
// made.
func TestSoftDepth(t *testing.T) {
	b := newAlone(t)
	b.Limits = Depth{Soft: 1}
	first := b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	content := b.digest(volumePrefix + first)
	if jobs, err := b.Images.Jobs(t.Context(), b.Pool); err != nil || len(jobs) != 0 {
		t.Errorf("jobs %+v, %v", jobs, err)
	}
	temporary := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromVolume, ID: first}, Temporary: true}
	for range 2 {
		_, err := b.Create(t.Context(), temporary)
		b.must(err)
	}
	if jobs, err := b.Images.Jobs(t.Context(), b.Pool); err != nil || len(jobs) != 0 {
		t.Errorf("a temporary volume is flattened: %+v, %v", jobs, err)
	}
	b.must(b.Delete(t.Context(), temporary.ID))
	request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromVolume, ID: first}}
	for range 2 {
		_, err := b.Create(t.Context(), request)
		b.must(err)
	}
	jobs, err := b.Images.Jobs(t.Context(), b.Pool)
	if err != nil || len(jobs) != 1 || jobs[0].Subject != b.image(volumePrefix+request.ID) {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	b.work(jobs[0].ID)

	v, err := b.Get(t.Context(), request.ID)
	if err != nil || v.Parent != nil || v.Depth != 0 || b.digest(v.Name) != content {
		t.Errorf("after the job: %+v, %v", v, err)
	}
	if done, err := b.Create(t.Context(), request); err != nil || done.Created || done.Info.Size != request.Size {
		t.Errorf("the same request = %+v, %v", done, err)
	}
	for name, change := range map[string]func(*Create){
		"source": func(c *Create) { c.Source.ID = b.volumeOn(Source{}) },
		"size":   func(c *Create) { c.Size *= 2 },
		"kind":   func(c *Create) { c.Source = Source{Kind: FromSnapshot, ID: b.snapshotOf(first), VolumeID: first} },
	} {
		other := request
		change(&other)
		if _, err := b.Create(t.Context(), other); !errors.Is(err, ErrExists) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	_, err = b.Images.Purge(t.Context(), b.Pool, rbd.PurgeOptions{})
	b.must(err)
	source, err := b.Get(t.Context(), first)
	b.must(err)
	for _, s := range source.Snapshots {
		if s.Name == volumePrefix+request.ID+cloneSuffix {
			t.Error("the snapshot of the flattened clone is left")
		}
	}
}

// TestFlatten: a volume that is flattened on request goes on being what it was made
// of; a clone of it does not take over that.
func TestFlatten(t *testing.T) {
	b := newAlone(t)
	image := b.golden()
	for _, tt := range []struct {
		name   string
		source func() Source
	}{
		{"image", func() Source { return Source{Kind: FromImage, ID: image} }},
		{"snapshot", func() Source {
			v := b.volumeOn(Source{})
			return Source{Kind: FromSnapshot, ID: b.snapshotOf(v), VolumeID: v}
		}},
		{"volume", func() Source { return Source{Kind: FromVolume, ID: b.volumeOn(Source{})} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			request := Create{ID: uuid.NewString(), Size: 16 * mib, Source: tt.source()}
			_, err := b.Create(t.Context(), request)
			b.must(err)
			job, err := b.Flatten(t.Context(), request.ID)
			b.must(err)
			b.work(job.ID)
			if done, err := b.Create(t.Context(), request); err != nil || done.Created {
				t.Errorf("the same request = %+v, %v", done, err)
			}
			clone := request
			clone.ID, clone.Source = uuid.NewString(), Source{Kind: FromVolume, ID: request.ID}
			_, err = b.Create(t.Context(), clone)
			b.must(err)
			clone.Source = request.Source
			if _, err := b.Create(t.Context(), clone); !errors.Is(err, ErrExists) {
				t.Errorf("a clone taken for what its source was made of: %v", err)
			}
		})
	}
	if _, err := b.Flatten(t.Context(), uuid.NewString()); !errors.Is(err, ErrNotFound) {
		t.Errorf("Flatten of nothing = %v", err)
	}
}

// work works on the jobs of the pool until the one is done.
func (b backend) work(id string) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Images.WorkJobs(ctx, b.Pool, rbd.WorkOptions{}) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	for b.Context().Err() == nil {
		job, err := b.Images.Job(b.Context(), b.Pool, id)
		b.must(err)
		switch job.State {
		case rbd.JobDone:
			return
		case rbd.JobFailed, rbd.JobCancelled:
			b.Fatalf("%+v", job)
		}
	}
}
