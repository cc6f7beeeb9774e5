package sidecar

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
)

func (a *api) registerSnapshots() {
	const path = "/v1/volumes/{id}/snapshots/{sid}"
	huma.Register(a, operation(http.MethodPut, path, "create-snapshot", "Take a snapshot of a volume, protected",
		status(http.StatusCreated), alsoOK("It was there already.")), a.createSnapshot)
	huma.Register(a, operation(http.MethodDelete, path, "delete-snapshot",
		"Remove a snapshot. Gone is success, and so is one with clones, which go on working"), a.deleteSnapshot)
	huma.Register(a, operation(http.MethodPost, path+"/adopt", "adopt-snapshot",
		"Make a snapshot of a volume's image one of Cinder's"), a.adoptSnapshot)
	huma.Register(a, operation(http.MethodPost, path+"/release", "release-snapshot",
		"Let go of a snapshot, which stays: it is no more protected, unless it has clones"), a.releaseSnapshot)
}

// BySnapshotID is the operand of operations on a snapshot.
type BySnapshotID struct {
	ByID
	Snapshot string `path:"sid" doc:"The snapshot's UUID."`
}

// TakenSnapshot is a snapshot that was asked for.
type TakenSnapshot struct {
	ID       string `json:"id"`
	VolumeID string `json:"volume_id"`
}

type snapshotOutput struct {
	Status int
	Body   TakenSnapshot
}

func (a *api) createSnapshot(ctx context.Context, in *BySnapshotID) (*snapshotOutput, error) {
	created, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (bool, error) {
		return v.CreateSnapshot(ctx, in.ID, in.Snapshot)
	})
	out := &snapshotOutput{Status: http.StatusOK, Body: TakenSnapshot{ID: in.Snapshot, VolumeID: in.ID}}
	if created {
		out.Status = http.StatusCreated
	}
	return out, err
}

func (a *api) deleteSnapshot(ctx context.Context, in *BySnapshotID) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.DeleteSnapshot(ctx, in.ID, in.Snapshot)
	})
}

func (a *api) releaseSnapshot(ctx context.Context, in *BySnapshotID) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.ReleaseSnapshot(ctx, in.ID, in.Snapshot)
	})
}

type adoptSnapshotInput struct {
	BySnapshotID
	Body struct {
		Name string `json:"name" doc:"Of the snapshot, on the image of the volume."`
	}
}

func (a *api) adoptSnapshot(ctx context.Context, in *adoptSnapshotInput) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.AdoptSnapshot(ctx, in.ID, in.Snapshot, in.Body.Name)
	})
}
