package rbd

import (
	"errors"
	"strings"
	"syscall"

	"rbdctl/internal/fault"
)

// settleCopy brings to its end what is recorded of a copy: the job that makes it goes
// on with it, and without a job it is removed.
func (s *scope) settleCopy(ioctx *ioContext, spec ImageSpec, pool string) error {
	lives, err := s.copyWanted(spec, pool)
	if err == nil && lives {
		err = fault.Newf(ErrInUse, "a job of pool %s goes on with it: `rbdctl jobs ls --pool %s`", pool, pool)
	}
	if err != nil {
		return err
	}
	return s.delete(ioctx, spec, 0)
}

// copyWanted tells whether the job that makes a copy has not ended. One that may not
// be looked at has not.
func (s *scope) copyWanted(spec ImageSpec, pool string) (bool, error) {
	r, err := s.register(pool, jobsRegister)
	if err == nil {
		var j Job
		var there bool
		there, err = r.get(strings.TrimPrefix(spec.Image, copyPrefix), &j)
		if err == nil {
			return there && !j.final(), nil
		}
	}
	if errors.Is(err, ErrNotFound) {
		return false, nil // nor is the pool
	}
	if isErrno(err, syscall.EPERM, syscall.EACCES) {
		return true, nil
	}
	return false, err
}

// settleMove brings to its end what is recorded of an image that was about to leave:
// if it has not begun to go, it stays, until the job comes to it again. That is for
// whoever holds the intent of the job, too: only they write to its entry.
func (s *scope) settleMove(ioctx *ioContext, spec ImageSpec, job string) error {
	entry := jobEntry(spec.Pool, job)
	for _, i := range s.intents {
		if !i.done && i.oid == intentObject(entry) && i.spec.Pool == spec.Pool {
			return s.endMove(ioctx, spec, job)
		}
	}
	i, err := s.beginDeed(deed{Op: opCheck}, entry)
	if err != nil {
		return err
	}
	return errors.Join(s.endMove(ioctx, spec, job), i.finish())
}

func (s *scope) endMove(ioctx *ioContext, spec ImageSpec, job string) error {
	r, err := s.register(spec.Pool, jobsRegister)
	if err != nil {
		return err
	}
	var j Job
	if there, err := r.get(job, &j); err != nil || !there || j.final() || !j.Course.Leaving {
		return err
	}
	id, err := s.idOf(ioctx, spec.Image)
	if err != nil || id != "" && id != j.Course.From {
		return err // it has gone
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return err
	}
	var m mark
	begun, err := marks.get(inNamespace(spec.Namespace, j.Course.From), &m)
	if err != nil {
		return err
	}
	if begun || id == "" {
		if err := s.delete(ioctx, spec, 0); err == nil || !refusal(err) {
			return err
		}
	}
	j.Course.Leaving = false
	return r.put(j.ID, j)
}
