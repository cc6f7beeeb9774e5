package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/lab/labtest"
	"rbdctl/libvirtsecret"
)

// secretVerdict is what a test compares of a row of verify.
type secretVerdict struct {
	state libvirtsecret.State
	pool  string
}

func (l *secretLab) verify(t *testing.T, conf string, wantStatus int, want []secretVerdict, args ...string) {
	t.Helper()
	out, errOut, status := l.runOn(t, conf, append([]string{"verify", "--output", "json"}, args...)...)
	if status != wantStatus {
		t.Errorf("status %d, want %d: %s", status, wantStatus, errOut)
	}
	var answer struct {
		OK       bool
		Verdicts []verifiedRow
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	var got []secretVerdict
	for _, v := range answer.Verdicts {
		got = append(got, secretVerdict{v.State, v.Pool})
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(secretVerdict{})); diff != "" {
		t.Errorf("verdicts (-want +got)\n%s", diff)
	}
	if answer.OK != (wantStatus == 0) {
		t.Errorf("ok is %v with status %d", answer.OK, status)
	}
}

// Every state that a stored key can be in, on a real cluster and libvirt.
func TestSecretVerify(t *testing.T) {
	l := newSecretLab(t)
	foreign := labtest.FreshPool(t)
	silent := l.confWith(t, "mon host = 127.0.0.1:1", "keyring = /nonexistent")

	l.verify(t, l.conf, 3, []secretVerdict{{libvirtsecret.StateMissing, ""}}, "--pool", l.pool, l.entity)

	secret, err := libvirtsecret.For(l.fsid(t), l.entity)
	if err != nil {
		t.Fatal(err)
	}
	l.define(t, secret.UUID, secret.Usage, nil)
	l.verify(t, l.conf, 3, []secretVerdict{{libvirtsecret.StateNoValue, ""}}, "--pool", l.pool, l.entity)
	l.define(t, secret.UUID, secret.Usage, []byte("not base64!!"))
	l.verify(t, l.conf, 2, []secretVerdict{{libvirtsecret.StateGarbage, ""}}, "--pool", l.pool, l.entity)

	mustSecret[registeredJSON](t, l, "register", l.entity)
	l.verify(t, l.conf, 0, []secretVerdict{{libvirtsecret.StateOK, ""}}, l.entity)
	l.verify(t, l.conf, 0, []secretVerdict{{libvirtsecret.StateOK, l.pool}}, "--pool", l.pool, l.entity)
	l.verify(t, l.conf, 6, []secretVerdict{{libvirtsecret.StateOK, l.pool}, {libvirtsecret.StateNoAccess, foreign}, {libvirtsecret.StateNoPool, "no-such-pool"}},
		"--pool", l.pool, "--pool", foreign, "--pool", l.entity+"=no-such-pool", l.entity)
	l.verify(t, silent, 7, []secretVerdict{{libvirtsecret.StateUnreachable, ""}}, "--pool", l.pool, l.entity)

	// The entity gets another key, and the stored one is stale; a good keyring file
	// on the node must not cover that up.
	labtest.Ceph(t, "auth", "rm", l.entity)
	l.verify(t, l.conf, 6, []secretVerdict{{libvirtsecret.StateWrongKey, ""}}, "--pool", l.pool, l.entity)
	l.issue(t)
	l.verify(t, l.conf, 6, []secretVerdict{{libvirtsecret.StateWrongKey, ""}}, "--pool", l.pool, l.entity)
	withFile := l.confWith(t, "keyring = "+l.keyringFile(t))
	l.verify(t, withFile, 6, []secretVerdict{{libvirtsecret.StateWrongKey, ""}}, "--pool", l.pool, l.entity)

	if got := mustSecret[registeredJSON](t, l, "register", l.entity); got.Secrets[0].Action != libvirtsecret.ActionUpdated {
		t.Errorf("register of the new key: %+v, want updated", got.Secrets[0])
	}
	l.verify(t, l.conf, 0, []secretVerdict{{libvirtsecret.StateOK, l.pool}}, "--pool", l.pool, l.entity)

	mustSecret[registeredJSON](t, l, "register", "--private", l.entity)
	l.verify(t, l.conf, 8, []secretVerdict{{libvirtsecret.StatePrivate, ""}}, "--pool", l.pool, l.entity)
}
