package keyring

import (
	"errors"
	"os/user"
	"strconv"

	"rbdctl/internal/fault"
)

// Owner is who a file belongs to, by the numbers of this system.
type Owner struct{ UID, GID int }

// LookupOwner finds the numbers of a user and a group of this system. Names that
// are numbers stand for themselves. A name that does not exist is an error of
// kind ErrNotFound.
func LookupOwner(userName, groupName string) (Owner, error) {
	uid, err := number(userName, "user", func() (string, error) {
		u, err := user.Lookup(userName)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return Owner{}, err
	}
	gid, err := number(groupName, "group", func() (string, error) {
		g, err := user.LookupGroup(groupName)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	return Owner{uid, gid}, err
}

func number(name, what string, lookup func() (string, error)) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	text, err := lookup()
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	if errors.As(err, &noUser) || errors.As(err, &noGroup) {
		return 0, fault.Newf(fault.ErrNotFound, "this system has no %s %q", what, clip(name))
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}
