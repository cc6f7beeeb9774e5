package sidecar

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
	"rbdctl/rbd"
)

func (a *api) registerVolumes() {
	huma.Register(a, operation(http.MethodPut, "/v1/volumes/{id}", "create-volume",
		"Make a volume: blank, or a copy-on-write clone of its source",
		status(http.StatusCreated), alsoOK("It was there already, just so. One that differs is a conflict, 409.")), a.create)
	huma.Register(a, operation(http.MethodGet, "/v1/volumes/{id}", "get-volume", "Look at a volume"), a.get)
	huma.Register(a, operation(http.MethodGet, "/v1/volumes", "list-volumes", "Name the volumes of the pool"), a.list)
	huma.Register(a, operation(http.MethodDelete, "/v1/volumes/{id}", "delete-volume",
		"Remove a volume. Gone is success; one that is in use stays as it is, 409"), a.delete)
}

// ByID is the operand of most operations.
type ByID struct {
	ID string `path:"id" doc:"The volume's UUID." example:"0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"`
}

type createInput struct {
	ByID
	Body struct {
		Size        uint64            `json:"size_bytes" minimum:"1" doc:"What it is to have, exactly."`
		Source      Source            `json:"source,omitempty" doc:"What it is to hold; without it, nothing."`
		ObjectSize  uint64            `json:"object_size_bytes,omitempty" doc:"A power of two from 4 KiB to 32 MiB; without it the source's, or the cluster's default."`
		QoS         map[string]string `json:"qos,omitempty" doc:"Limits, by the keys of a Cinder QoS spec or librbd's."`
		Multiattach bool              `json:"multiattach,omitempty" doc:"Several hosts may write to it."`
		Temporary   bool              `json:"temporary,omitempty" doc:"It is deleted soon, as one that a backup is made of: it is not flattened, however many parents it has."`
	}
}

// Source is what a new volume is to hold.
type Source struct {
	Kind     string `json:"kind" enum:"empty,image,snapshot,volume"`
	ID       string `json:"id,omitempty" doc:"Of the Glance image, of the snapshot, of the volume."`
	VolumeID string `json:"volume_id,omitempty" doc:"Of the volume that has the snapshot; without it, it is looked for."`
	Prepared bool   `json:"prepared,omitempty" doc:"prepare-clone has taken the snapshot of the volume. Should that be gone, the answer is 404: one of another moment is not taken in its place."`
}

// Made is a volume that was asked for.
type Made struct {
	ID         string         `json:"id"`
	Name       string         `json:"name" doc:"Of the image."`
	Pool       string         `json:"pool"`
	Size       uint64         `json:"size_bytes"`
	ObjectSize uint64         `json:"object_size_bytes"`
	Parent     *cinder.Parent `json:"parent" doc:"What it is a clone of; null if it is none."`
}

type createOutput struct {
	Status int
	Body   Made
}

func (a *api) create(ctx context.Context, in *createInput) (*createOutput, error) {
	want := cinder.Create{
		ID: in.ID, Size: in.Body.Size, ObjectSize: in.Body.ObjectSize, QoS: in.Body.QoS, Multiattach: in.Body.Multiattach, Temporary: in.Body.Temporary,
		Source: cinder.Source(in.Body.Source),
	}
	made, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Ensured, error) {
		return v.Create(ctx, want)
	})
	if err != nil {
		return nil, err
	}
	out := &createOutput{Status: http.StatusOK, Body: describe(in.ID, made.Info)}
	if made.Created {
		out.Status = http.StatusCreated
	}
	return out, nil
}

// describe is what package rbd says of a volume that was asked for.
func describe(id string, info rbd.Info) Made {
	made := Made{ID: id, Name: info.Spec.Image, Pool: info.Spec.Pool, Size: info.Size, ObjectSize: info.ObjectSize}
	if p := info.Parent; p != nil {
		made.Parent = &cinder.Parent{Pool: p.Pool, Image: p.Image, Snapshot: p.Snap}
	}
	return made
}

type volumeOutput struct{ Body cinder.Volume }

func (a *api) get(ctx context.Context, in *ByID) (*volumeOutput, error) {
	v, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Volume, error) {
		return v.Get(ctx, in.ID)
	})
	return &volumeOutput{v}, err
}

type volumesOutput struct {
	Body struct {
		Volumes []cinder.Name `json:"volumes"`
	}
}

func (a *api) list(ctx context.Context, _ *struct{}) (*volumesOutput, error) {
	out := &volumesOutput{}
	var err error
	out.Body.Volumes, err = asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) ([]cinder.Name, error) {
		return v.List(ctx)
	})
	return out, err
}

// delete leaves the data to the purge, which it brings on: the image that the
// volume was cloned from cannot go before.
func (a *api) delete(ctx context.Context, in *ByID) (*struct{}, error) {
	defer func() {
		select {
		case a.server.deleted <- struct{}{}:
		default:
		}
	}()
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error { return v.Delete(ctx, in.ID) })
}

// change is done for a change that has nothing to tell.
func (a *api) change(ctx context.Context, fn func(context.Context, cinder.Volumes) error) (*struct{}, error) {
	_, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (struct{}, error) { return struct{}{}, fn(ctx, v) })
	return nil, err
}
