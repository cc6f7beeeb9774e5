package sidecar

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
)

func (a *api) registerStats() {
	huma.Register(a, operation(http.MethodGet, "/v1/stats", "get-stats",
		"Tell the capacity. A cluster that does not answer is no error: the state is down"), a.stats)
	huma.Register(a, operation(http.MethodGet, "/v1/volumes/{id}/connection", "get-connection",
		"Tell a hypervisor how to reach a volume; there is no key in it"), a.connection)
	huma.Register(a, operation(http.MethodGet, "/v1/manageable", "list-manageable",
		"List the images of the pool that Cinder may take for volumes, and why it may not"), a.manageable)
	huma.Register(a, operation(http.MethodGet, "/v1/manageable/{name}", "get-manageable",
		"Look at one image of the pool: may Cinder take it for a volume, and if not, why"), a.manageableImage)
	huma.Register(a, operation(http.MethodGet, "/v1/volumes/{id}/manageable-snapshots", "list-manageable-snapshots",
		"List the snapshots of a volume that Cinder may take for its own, and why it may not"), a.manageableSnapshots)
}

// Stats are what Cinder's scheduler is told.
type Stats struct {
	cinder.Stats
	ImagePool   string `json:"image_pool" doc:"Where Glance's images are that can be cloned."`
	Provisioned uint64 `json:"provisioned_bytes" doc:"The sizes of all images of a shared pool, added up lately in the background; 0 before that, and of a pool of volumes only."`
}

type statsOutput struct{ Body Stats }

func (a *api) stats(ctx context.Context, _ *struct{}) (*statsOutput, error) {
	s := a.server
	found, err := asked(ctx, s, func(ctx context.Context, v cinder.Volumes) (cinder.Stats, error) { return v.Stats(ctx) })
	var p *Problem
	if errors.As(err, &p) && (p.Kind == "unavailable" || p.Kind == "outcome_unknown") {
		found, err = cinder.Volumes{Pool: s.cfg.Pool, Cluster: away{}}.Stats(ctx)
	}
	return &statsOutput{Stats{Stats: found, ImagePool: s.cfg.ImagePool, Provisioned: s.provisioned.Load()}}, err
}

// away is a cluster to which there is no connection.
type away struct{}

var errAway = fault.New(fault.ErrUnavailable, "there is no connection to the cluster")

// MonCommand fails.
func (away) MonCommand(context.Context, []byte) ([]byte, error) { return nil, errAway }

// FSID fails.
func (away) FSID(context.Context) (string, error) { return "", errAway }

// Entity is nobody.
func (away) Entity() string { return "" }

type connectionOutput struct{ Body cinder.Connection }

func (a *api) connection(ctx context.Context, in *ByID) (*connectionOutput, error) {
	c, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Connection, error) {
		return v.Connection(ctx, in.ID)
	})
	return &connectionOutput{c}, err
}

type manageableOutput struct {
	Body struct {
		Volumes []cinder.Manageable `json:"volumes"`
	}
}

func (a *api) manageable(ctx context.Context, _ *struct{}) (*manageableOutput, error) {
	out := &manageableOutput{}
	var err error
	out.Body.Volumes, err = asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) ([]cinder.Manageable, error) {
		return v.Manageable(ctx)
	})
	return out, err
}

type manageableImageInput struct {
	Name string `path:"name" doc:"Of the image, in the pool of the volumes."`
}

type manageableImageOutput struct{ Body cinder.Manageable }

func (a *api) manageableImage(ctx context.Context, in *manageableImageInput) (*manageableImageOutput, error) {
	m, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (cinder.Manageable, error) {
		return v.ManageableImage(ctx, in.Name)
	})
	return &manageableImageOutput{m}, err
}

type manageableSnapshotsOutput struct {
	Body struct {
		Snapshots []cinder.ManageableSnapshot `json:"snapshots"`
	}
}

func (a *api) manageableSnapshots(ctx context.Context, in *ByID) (*manageableSnapshotsOutput, error) {
	out := &manageableSnapshotsOutput{}
	var err error
	out.Body.Snapshots, err = asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) ([]cinder.ManageableSnapshot, error) {
		return v.ManageableSnapshots(ctx, in.ID)
	})
	return out, err
}
