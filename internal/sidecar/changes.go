package sidecar

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
)

func (a *api) registerChanges() {
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/extend", "extend-volume",
		"Make a volume larger; the size that it has is success, a smaller one invalid"), a.extend)
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/revert", "revert-volume",
		"Give a volume the content of a snapshot of it"), a.revert)
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/rename", "rename-volume",
		"Give a volume another id"), a.rename)
	huma.Register(a, operation(http.MethodPost, "/v1/volumes/{id}/adopt", "adopt-volume",
		"Make an image of the pool the volume"), a.adopt)
	huma.Register(a, operation(http.MethodPut, "/v1/volumes/{id}/qos", "set-qos",
		"Give a volume these limits, and no other"), a.setQoS)
	huma.Register(a, operation(http.MethodPut, "/v1/volumes/{id}/multiattach", "set-multiattach",
		"Let several hosts write to a volume, or one only"), a.setMultiattach)
}

type extendInput struct {
	ByID
	Body struct {
		Size uint64 `json:"size_bytes" minimum:"1"`
	}
}

func (a *api) extend(ctx context.Context, in *extendInput) (*volumeOutput, error) {
	return a.changed(ctx, func(ctx context.Context, v cinder.Volumes) (cinder.Volume, error) {
		return v.Extend(ctx, in.ID, in.Body.Size)
	})
}

// changed is done for a change that is answered with the volume as it then is.
func (a *api) changed(ctx context.Context, fn func(context.Context, cinder.Volumes) (cinder.Volume, error)) (*volumeOutput, error) {
	v, err := done(ctx, a.server, fn)
	return &volumeOutput{v}, err
}

type revertInput struct {
	ByID
	Body struct {
		SnapshotID string `json:"snapshot_id"`
	}
}

func (a *api) revert(ctx context.Context, in *revertInput) (*volumeOutput, error) {
	// It takes as long as the volume is large: only the server's end bounds it.
	ctx, cancel := a.server.detached(ctx)
	defer cancel()
	v, err := onCluster(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Volume, error) {
		if err := v.Revert(ctx, in.ID, in.Body.SnapshotID, nil); err != nil {
			return cinder.Volume{}, err
		}
		return v.Get(ctx, in.ID)
	})
	return &volumeOutput{v}, err
}

type renameInput struct {
	ByID
	Body struct {
		ID string `json:"id" doc:"The new UUID."`
	}
}

func (a *api) rename(ctx context.Context, in *renameInput) (*volumeOutput, error) {
	return a.changed(ctx, func(ctx context.Context, v cinder.Volumes) (cinder.Volume, error) {
		if err := v.Rename(ctx, in.ID, in.Body.ID); err != nil {
			return cinder.Volume{}, err
		}
		return v.Get(ctx, in.Body.ID)
	})
}

type adoptInput struct {
	ByID
	Body struct {
		Name string `json:"name" doc:"Of the image, in the pool of the volumes."`
	}
}

func (a *api) adopt(ctx context.Context, in *adoptInput) (*volumeOutput, error) {
	return a.changed(ctx, func(ctx context.Context, v cinder.Volumes) (cinder.Volume, error) {
		return v.Adopt(ctx, in.ID, in.Body.Name)
	})
}

type qosInput struct {
	ByID
	Body struct {
		QoS map[string]string `json:"qos" doc:"By the keys of a Cinder QoS spec or librbd's; empty: no limits."`
	}
}

func (a *api) setQoS(ctx context.Context, in *qosInput) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error { return v.SetQoS(ctx, in.ID, in.Body.QoS) })
}

type multiattachInput struct {
	ByID
	Body struct {
		Enabled bool   `json:"enabled"`
		Saved   uint64 `json:"saved_features,omitempty" doc:"To end it: the features from before, where the volume has no note of them. As Cinder's own driver keeps them."`
	}
}

// SavedFeatures are the features that a volume has for one writer.
type SavedFeatures struct {
	Bits uint64 `json:"saved_features" doc:"librbd's bits of the features that the volume had before, and has again when it is for one host."`
}

type multiattachOutput struct{ Body SavedFeatures }

func (a *api) setMultiattach(ctx context.Context, in *multiattachInput) (*multiattachOutput, error) {
	saved, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (uint64, error) {
		return v.SetMultiattach(ctx, in.ID, cinder.Multiattach{Enabled: in.Body.Enabled, Saved: in.Body.Saved})
	})
	return &multiattachOutput{SavedFeatures{saved}}, err
}
