package cinder

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// TestMigrate: a volume goes to the pool of another backend with all that makes it
// one; for both backends the same requests mean the same as before.
func TestMigrate(t *testing.T) {
	b := newAlone(t)
	there := b
	there.Pool = labtest.FreshPool(t)
	request := Create{
		ID: uuid.NewString(), Size: 16 * mib, Source: Source{Kind: FromImage, ID: b.golden()},
		QoS: map[string]string{"total_iops_sec": "1000"}, Multiattach: true,
	}
	_, err := b.Create(t.Context(), request)
	b.must(err)
	snapshot := b.snapshotOf(request.ID)
	before, err := b.Get(t.Context(), request.ID)
	b.must(err)
	content := b.digest(before.Name)

	job, err := b.Migrate(t.Context(), request.ID, there.Pool)
	b.must(err)
	if again, err := b.Migrate(t.Context(), request.ID, there.Pool); err != nil || again.ID != job.ID {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	b.work(job.ID)

	now, err := there.Get(t.Context(), request.ID)
	b.must(err)
	if now.Size != before.Size || now.Parent != nil || len(now.Snapshots) != 1 || now.Snapshots[0].ID != snapshot || !now.Snapshots[0].Protected ||
		now.Metadata["conf_rbd_qos_iops_limit"] != "1000" || there.digest(now.Name) != content || there.digest(now.Name+"@"+snapshotPrefix+snapshot) != content {
		t.Errorf("there is %+v, was %+v", now, before)
	}
	if _, err := b.Get(t.Context(), request.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("in the old pool: %v", err)
	}
	if done, err := there.Create(t.Context(), request); err != nil || done.Created {
		t.Errorf("the request that made it = %+v, %v", done, err)
	}
	if again, err := b.Migrate(t.Context(), request.ID, there.Pool); err != nil || again.State != rbd.JobDone || again.Target != there.Pool {
		t.Errorf("asked again when it is there: %+v, %v", again, err)
	}
	b.must(b.Delete(t.Context(), request.ID)) // gone already
	if _, err := there.Get(t.Context(), request.ID); err != nil {
		t.Errorf("a delete of what has gone took what is there: %v", err)
	}
	for name, id := range map[string]string{"nothing": uuid.NewString(), "no id": "x"} {
		if _, err := b.Migrate(t.Context(), id, there.Pool); err == nil {
			t.Errorf("%s was moved", name)
		}
	}
	if _, err := b.Migrate(t.Context(), b.volumeOn(Source{}), b.Pool); !errors.Is(err, ErrInvalid) {
		t.Errorf("to its own pool: %v", err)
	}
	if _, err := b.Migrate(t.Context(), b.volumeOn(Source{}), "nopool"); !errors.Is(err, ErrNotFound) {
		t.Errorf("to no pool: %v", err)
	}
}
