package main

import (
	"strings"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
)

// perEntity is what a repeated flag says of entities: "client.cinder=VALUE" of
// one, "VALUE" of all.
type perEntity struct {
	all []string
	of  map[string][]string
}

// parsePerEntity reads the values of the flag. An entity that the command is not
// about is an error, because what was said of it would be lost.
func parsePerEntity(flag string, values []string, entities []keyring.Entity) (perEntity, error) {
	p := perEntity{of: make(map[string][]string)}
	for _, v := range values {
		if v == "" {
			return perEntity{}, fault.Newf(errUsage, "--%s is empty", flag)
		}
		name, value, ok := strings.Cut(v, "=")
		if _, err := keyring.ParseEntity(name); !ok || err != nil {
			p.all = append(p.all, v)
			continue
		}
		if value == "" {
			return perEntity{}, fault.Newf(errUsage, "--%s %s: nothing after '='", flag, v)
		}
		if !hasEntity(entities, name) {
			return perEntity{}, fault.Newf(errUsage, "--%s %s: %s is not among the entities of this command", flag, v, name)
		}
		p.of[name] = append(p.of[name], value)
	}
	return p, nil
}

// onlyOne demands that what was said of all is said of a single entity: two
// entities can't have one secret.
func (p perEntity) onlyOne(flag string, entities []keyring.Entity) error {
	if len(p.all) > 0 && len(entities) != 1 {
		return fault.Newf(errUsage, "--%s %s: whose? say --%s ENTITY=%s, or name one entity", flag, p.all[0], flag, p.all[0])
	}
	return nil
}

// get is what was said of an entity.
func (p perEntity) get(entity keyring.Entity) []string {
	return append(p.all[:len(p.all):len(p.all)], p.of[entity.String()]...)
}

func hasEntity(entities []keyring.Entity, name string) bool {
	for _, e := range entities {
		if e.String() == name {
			return true
		}
	}
	return false
}
