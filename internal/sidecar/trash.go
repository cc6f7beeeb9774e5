package sidecar

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends"
	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

func (a *api) registerTrash() {
	huma.Register(a, operation(http.MethodGet, "/v1/trash", "list-trash",
		"List what was deleted and is still there; what others put into the trash is not among it"), a.trash)
	huma.Register(a, operation(http.MethodPost, "/v1/trash/{image_id}/restore", "restore-volume",
		"Bring a deleted volume back"), a.restore)
	huma.Register(a, operation(http.MethodPost, "/v1/trash/purge", "purge-trash",
		"Remove for good what nothing needs any more, now"), a.purge)
}

// Deleted is an image that was deleted.
type Deleted struct {
	ImageID  string         `json:"image_id" doc:"RBD's own id, by which it is restored."`
	Name     string         `json:"name" doc:"That it had."`
	VolumeID string         `json:"volume_id,omitempty" doc:"That the name is of; missing if it is no volume's."`
	Deleted  time.Time      `json:"deleted"`
	Until    time.Time      `json:"until" doc:"It is not purged before."`
	Parent   *cinder.Parent `json:"parent,omitempty"`
	Children int            `json:"children" doc:"Clones that keep it from being purged; -1: not known."`
}

type trashOutput struct {
	Body struct {
		Images []Deleted `json:"images"`
	}
}

func (a *api) trash(ctx context.Context, _ *struct{}) (*trashOutput, error) {
	list, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) ([]rbd.Deleted, error) {
		return v.Images.Deleted(ctx, v.Pool)
	})
	out := &trashOutput{}
	out.Body.Images = []Deleted{}
	for _, d := range list {
		id, _ := cinder.ParseName(d.Name)
		entry := Deleted{ImageID: d.ID, Name: d.Name, VolumeID: id, Deleted: d.Deleted, Until: d.Until, Children: d.Children}
		if p := d.Parent; p != nil {
			entry.Parent = &cinder.Parent{Pool: p.Pool, Image: p.Image, Snapshot: p.Snap}
		}
		out.Body.Images = append(out.Body.Images, entry)
	}
	return out, err
}

type restoreInput struct {
	ImageID string `path:"image_id"`
	Body    *RestoreBody
}

// RestoreBody may be left out.
type RestoreBody struct {
	ID string `json:"id,omitempty" doc:"UUID that the volume is to have; without it, the one that it had."`
}

func (a *api) restore(ctx context.Context, in *restoreInput) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		name := ""
		if in.Body != nil && in.Body.ID != "" {
			if err := backends.CheckID("volume", in.Body.ID); err != nil {
				return err
			}
			name = backends.Volume(v.Pool, in.Body.ID).Image
		}
		return v.Images.Undelete(ctx, v.Pool, in.ImageID, name)
	})
}

type purgeInput struct {
	Body *PurgeBody
}

// PurgeBody may be left out.
type PurgeBody struct {
	ImageIDs []string `json:"image_ids,omitempty" doc:"Only these; without it, all."`
	Now      bool     `json:"now,omitempty" doc:"Also what could still be restored."`
	Limit    int      `json:"limit,omitempty" minimum:"0" doc:"At most so many; 0: all."`
}

// Purged is what a purge came to.
type Purged struct {
	Removed []string `json:"removed" doc:"RBD's ids of the images."`
	Waiting int      `json:"waiting" doc:"Have clones, or can still be restored."`
}

type purgeOutput struct{ Body Purged }

func (a *api) purge(ctx context.Context, in *purgeInput) (*purgeOutput, error) {
	opts := rbd.PurgeOptions{}
	if in.Body != nil {
		opts = rbd.PurgeOptions{IDs: in.Body.ImageIDs, Now: in.Body.Now, Limit: in.Body.Limit}
	}
	if slices.Contains(opts.IDs, "") {
		return nil, problemOf(fault.New(fault.ErrInvalid, "body.image_ids: an id is empty"))
	}
	purged, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (rbd.Purged, error) {
		return v.Images.Purge(ctx, v.Pool, opts)
	})
	return &purgeOutput{Purged{Removed: append([]string{}, purged.Removed...), Waiting: purged.Waiting}}, err
}
