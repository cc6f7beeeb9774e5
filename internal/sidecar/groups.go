package sidecar

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
)

func (a *api) registerGroups() {
	const path = "/v1/groups/{gid}"
	huma.Register(a, operation(http.MethodPut, path, "create-group", "Make an empty group of volumes",
		status(http.StatusCreated), alsoOK("It was there already.")), a.createGroup)
	huma.Register(a, operation(http.MethodGet, path, "get-group", "Look at a group"), a.getGroup)
	huma.Register(a, operation(http.MethodDelete, path, "delete-group",
		"Remove a group; its volumes stay. Gone is success"), a.deleteGroup)
	huma.Register(a, operation(http.MethodPost, path+"/update", "update-group",
		"Put volumes into a group and take others out. A volume is in one group at most"), a.updateGroup)
	huma.Register(a, operation(http.MethodPost, path+"/prepare-clone", "prepare-group-clone",
		"Take, at one moment, the snapshots that clones of the group's volumes are then made of"), a.prepareGroupClone)
	const snapshot = path + "/snapshots/{sid}"
	huma.Register(a, operation(http.MethodPut, snapshot, "create-group-snapshot",
		"Take snapshots of these volumes, which the group then has, at one moment",
		status(http.StatusCreated), alsoOK("They were there already.")), a.createGroupSnapshot)
	huma.Register(a, operation(http.MethodDelete, snapshot, "delete-group-snapshot",
		"Remove the snapshots of a group's volumes, complete or not. Gone is success"), a.deleteGroupSnapshot)
}

// ByGroupID is the operand of operations on a group.
type ByGroupID struct {
	Group string `path:"gid" doc:"The group's UUID."`
}

type groupOutput struct {
	Status int
	Body   cinder.Group
}

func (a *api) createGroup(ctx context.Context, in *ByGroupID) (*groupOutput, error) {
	out := &groupOutput{Status: http.StatusOK}
	var err error
	out.Body, err = done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Group, error) {
		created, err := v.CreateGroup(ctx, in.Group)
		if err != nil {
			return cinder.Group{}, err
		}
		if created {
			out.Status = http.StatusCreated
		}
		return v.GetGroup(ctx, in.Group)
	})
	return out, err
}

func (a *api) getGroup(ctx context.Context, in *ByGroupID) (*groupOutput, error) {
	g, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Group, error) {
		return v.GetGroup(ctx, in.Group)
	})
	return &groupOutput{Status: http.StatusOK, Body: g}, err
}

func (a *api) deleteGroup(ctx context.Context, in *ByGroupID) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error { return v.DeleteGroup(ctx, in.Group) })
}

type updateGroupInput struct {
	ByGroupID
	Body struct {
		Add    []string `json:"add,omitempty" doc:"UUIDs of volumes."`
		Remove []string `json:"remove,omitempty" doc:"UUIDs of volumes; one that is gone is out."`
	}
}

func (a *api) updateGroup(ctx context.Context, in *updateGroupInput) (*groupOutput, error) {
	g, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Group, error) {
		if err := v.UpdateGroup(ctx, in.Group, cinder.GroupChange{Add: in.Body.Add, Remove: in.Body.Remove}); err != nil {
			return cinder.Group{}, err
		}
		return v.GetGroup(ctx, in.Group)
	})
	return &groupOutput{Status: http.StatusOK, Body: g}, err
}

type prepareGroupCloneInput struct {
	ByGroupID
	Body struct {
		ID      string        `json:"id" doc:"The UUID of the new group."`
		Volumes []cinder.Copy `json:"volumes" doc:"All volumes of the group, each with the UUID of the one that is to be cloned from it."`
	}
}

func (a *api) prepareGroupClone(ctx context.Context, in *prepareGroupCloneInput) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.PrepareGroupClone(ctx, in.Group, in.Body.ID, in.Body.Volumes)
	})
}

type groupSnapshotInput struct {
	ByGroupID
	Snapshot string `path:"sid" doc:"The group snapshot's UUID."`
	Body     struct {
		Snapshots []cinder.MemberSnapshot `json:"snapshots" doc:"One of each volume of the group."`
	}
}

// TakenGroupSnapshot is a group's snapshot that was asked for.
type TakenGroupSnapshot struct {
	ID        string                  `json:"id"`
	GroupID   string                  `json:"group_id"`
	Snapshots []cinder.MemberSnapshot `json:"snapshots"`
}

type groupSnapshotOutput struct {
	Status int
	Body   TakenGroupSnapshot
}

func (a *api) createGroupSnapshot(ctx context.Context, in *groupSnapshotInput) (*groupSnapshotOutput, error) {
	created, err := done(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (bool, error) {
		return v.CreateGroupSnapshot(ctx, in.Group, in.Snapshot, in.Body.Snapshots)
	})
	out := &groupSnapshotOutput{Status: http.StatusOK, Body: TakenGroupSnapshot{in.Snapshot, in.Group, in.Body.Snapshots}}
	if created {
		out.Status = http.StatusCreated
	}
	return out, err
}

func (a *api) deleteGroupSnapshot(ctx context.Context, in *groupSnapshotInput) (*struct{}, error) {
	return a.change(ctx, func(ctx context.Context, v cinder.Volumes) error {
		return v.DeleteGroupSnapshot(ctx, in.Group, in.Snapshot, in.Body.Snapshots)
	})
}
