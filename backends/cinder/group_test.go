package cinder

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// grouped makes a group of new volumes.
func (b backend) grouped(volumes ...string) string {
	b.Helper()
	id := uuid.NewString()
	_, err := b.CreateGroup(b.Context(), id)
	b.must(err)
	b.must(b.UpdateGroup(b.Context(), id, GroupChange{Add: volumes}))
	return id
}

// inGroup are the ids of a group's volumes.
func (b backend) inGroup(id string) []string {
	b.Helper()
	g, err := b.GetGroup(b.Context(), id)
	b.must(err)
	var ids []string
	for _, v := range g.Volumes {
		ids = append(ids, v.ID)
	}
	return ids
}

// TestGroupSnapshot: of each volume there is a snapshot as any other, under the name
// that Cinder's own driver looks for.
func TestGroupSnapshot(t *testing.T) {
	b := newAlone(t)
	one, two := b.volumeOn(Source{}), b.volumeOn(Source{Kind: FromImage, ID: b.golden()})
	id, snapshot := b.grouped(one), uuid.NewString()
	members := []MemberSnapshot{{uuid.NewString(), one}, {uuid.NewString(), two}}
	for _, want := range []bool{true, false} {
		created, err := b.CreateGroupSnapshot(t.Context(), id, snapshot, members)
		if err != nil || created != want {
			t.Fatalf("CreateGroupSnapshot = %t, %v, want %t", created, err, want)
		}
	}
	if got := b.inGroup(id); len(got) != 2 {
		t.Errorf("the group has %v, want both volumes", got)
	}
	for _, m := range members {
		spec := "volume-" + m.VolumeID + "@snapshot-" + m.ID
		if b.digest(spec) != b.digest("volume-"+m.VolumeID) {
			t.Errorf("%s has other content than its volume", spec)
		}
		v, err := b.Get(t.Context(), m.VolumeID)
		b.must(err)
		if len(v.Snapshots) != 1 || v.Snapshots[0].ID != m.ID || !v.Snapshots[0].Protected {
			t.Errorf("snapshots = %+v, want %s, protected", v.Snapshots, m.ID)
		}
	}
	clone := b.volumeOn(Source{Kind: FromSnapshot, ID: members[1].ID, VolumeID: two})
	b.must(b.Revert(t.Context(), one, members[0].ID, nil))
	for range 2 {
		b.must(b.DeleteGroupSnapshot(t.Context(), id, snapshot, members))
	}
	for _, v := range []string{one, two, clone} {
		b.must(b.Delete(t.Context(), v))
	}
	if got := b.inGroup(id); len(got) > 0 {
		t.Errorf("the group has %v after all volumes are deleted", got)
	}
	b.must(b.DeleteGroup(t.Context(), id))
	found, err := b.Images.Fsck(t.Context(), []string{b.Pool}, false)
	if err != nil || len(found) > 0 {
		t.Errorf("fsck = %+v, %v", found, err)
	}
}

// TestGroupClone: the clones of a group's volumes are of one moment, too.
func TestGroupClone(t *testing.T) {
	b := newBackend(t)
	one, two := b.volumeOn(Source{}), b.volumeOn(Source{})
	id, clone := b.grouped(one, two), uuid.NewString()
	copies := []Copy{{ID: uuid.NewString(), SourceID: one}, {ID: uuid.NewString(), SourceID: two}}
	for range 2 {
		b.must(b.PrepareGroupClone(t.Context(), id, clone, copies))
	}
	for _, c := range copies {
		spec := "volume-" + c.SourceID + "@volume-" + c.ID + ".clone_snap"
		before := b.tool("snap", "ls", b.image("volume-"+c.SourceID))
		_, err := b.Create(t.Context(), Create{ID: c.ID, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: c.SourceID}})
		b.must(err)
		if after := b.tool("snap", "ls", b.image("volume-"+c.SourceID)); after != before {
			t.Errorf("%s: there was\n%s\nand is\n%s", spec, before, after)
		}
		got, err := b.Get(t.Context(), c.ID)
		b.must(err)
		if got.Parent == nil || got.Parent.Snapshot != "volume-"+c.ID+".clone_snap" {
			t.Errorf("parent = %+v, want %s", got.Parent, spec)
		}
	}
	b.must(b.DeleteGroup(t.Context(), id))
	for _, v := range []string{one, two, copies[0].ID, copies[1].ID} {
		b.must(b.Delete(t.Context(), v))
	}
}

// TestGroupCloneKeepsItsMoment: a clone whose snapshot went meanwhile is refused, and not
// made of what the volume holds later. One that is made stays success, also when it is a
// clone no more.
func TestGroupCloneKeepsItsMoment(t *testing.T) {
	b := newAlone(t)
	one, two := b.volumeOn(Source{Kind: FromImage, ID: b.golden()}), b.volumeOn(Source{})
	id := b.grouped(one, two)
	copies := []Copy{{ID: uuid.NewString(), SourceID: one}, {ID: uuid.NewString(), SourceID: two}}
	b.must(b.PrepareGroupClone(t.Context(), id, uuid.NewString(), copies))
	lose := func(c Copy) {
		spec := b.image(volumePrefix + c.SourceID + "@" + volumePrefix + c.ID + cloneSuffix)
		b.tool("snap", "unprotect", spec)
		b.tool("snap", "rm", "--no-progress", spec)
	}
	request := func(c Copy) Create {
		return Create{ID: c.ID, Size: 16 * mib, Source: Source{Kind: FromVolume, ID: c.SourceID, Prepared: true}}
	}
	for range 2 {
		_, err := b.Create(t.Context(), request(copies[0]))
		b.must(err)
	}
	lose(copies[1])
	for range 2 {
		if _, err := b.Create(t.Context(), request(copies[1])); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "moment") {
			t.Errorf("without its snapshot: %v", err)
		}
	}
	if v, err := b.Get(t.Context(), two); err != nil || len(v.Snapshots) > 0 {
		t.Errorf("its source is now %+v, %v", v, err)
	}
	job, err := b.Flatten(t.Context(), copies[0].ID)
	b.must(err)
	b.work(job.ID)
	if v, err := b.Get(t.Context(), one); err == nil && len(v.Snapshots) > 0 {
		lose(copies[0])
	}
	if done, err := b.Create(t.Context(), request(copies[0])); err != nil || done.Created {
		t.Errorf("flattened: %+v, %v", done, err)
	}
	if _, err := b.Create(t.Context(), Create{ID: uuid.NewString(), Size: mib, Source: Source{Prepared: true}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("of nothing, prepared: %v", err)
	}
}

func TestGroupRefuses(t *testing.T) {
	b := newBackend(t)
	one, many := b.volumeOn(Source{}), uuid.NewString()
	_, err := b.Create(t.Context(), Create{ID: many, Size: mib, Multiattach: true})
	b.must(err)
	id, other := b.grouped(one, many), b.grouped()
	for name, tt := range map[string]struct {
		err  error
		want error
	}{
		"another group":    {b.UpdateGroup(t.Context(), other, GroupChange{Add: []string{one}}), ErrExists},
		"no group":         {b.UpdateGroup(t.Context(), uuid.NewString(), GroupChange{Add: []string{one}}), ErrNotFound},
		"no volume":        {b.UpdateGroup(t.Context(), id, GroupChange{Add: []string{uuid.NewString()}}), ErrNotFound},
		"no id":            {b.UpdateGroup(t.Context(), "x", GroupChange{}), ErrInvalid},
		"no volume's id":   {b.UpdateGroup(t.Context(), id, GroupChange{Remove: []string{"x"}}), ErrInvalid},
		"no volumes":       {b.snapshotError(id), ErrInvalid},
		"two of a volume":  {b.snapshotError(id, one, one), ErrInvalid},
		"multiattach":      {b.snapshotError(id, one, many), ErrUnsupported},
		"a volume is gone": {b.snapshotError(id, one, uuid.NewString()), ErrNotFound},
		"a clone of none":  {b.PrepareGroupClone(t.Context(), id, uuid.NewString(), nil), ErrInvalid},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
		}
	}
	v, err := b.Get(t.Context(), one)
	if err != nil || len(v.Snapshots) > 0 {
		t.Errorf("volume = %+v, %v, want no snapshots", v, err)
	}
	for _, g := range []string{id, other} {
		b.must(b.DeleteGroup(t.Context(), g))
	}
}

func (b backend) snapshotError(id string, volumes ...string) error {
	b.Helper()
	var members []MemberSnapshot
	for _, v := range volumes {
		members = append(members, MemberSnapshot{uuid.NewString(), v})
	}
	_, err := b.CreateGroupSnapshot(b.Context(), id, uuid.NewString(), members)
	return err
}
