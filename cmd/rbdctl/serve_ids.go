package main

import (
	"os/user"
	"strconv"

	"rbdctl/internal/fault"
)

// numbers reads the values of a flag that names users or groups.
func numbers(flag string, values []string, look func(string) (string, error)) ([]uint32, error) {
	var ids []uint32
	for _, value := range values {
		text := value
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			if text, err = look(value); err != nil {
				return nil, fault.Newf(errUsage, "--%s %s: want a number, or a name that this system knows", flag, value)
			}
		}
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fault.Newf(errUsage, "--%s %s: %q is no number", flag, value, text)
		}
		ids = append(ids, uint32(id))
	}
	return ids, nil
}

func userNumber(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupNumber(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
