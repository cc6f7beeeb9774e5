package main

import (
	"net/url"
	"slices"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/spec"
)

// wishOptions say where the wish comes from. Plan, apply and status share them.
type wishOptions struct {
	config string   // path of rbdctl.yaml; empty: the default one, if it exists
	uris   []string // of libvirts; they take the place of the file's nodes
	entity bool     // --entity was given
}

func (o *wishOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "config", EnvVars: []string{"RBDCTL_CONFIG"}, Destination: &o.config,
			Usage: "what is wanted stands in `FILE`", DefaultText: spec.DefaultPath + " if it exists",
		},
		&cli.StringSliceFlag{
			Name: "uri", EnvVars: []string{"RBDCTL_LIBVIRT_URI"},
			Usage: "put the secrets into the libvirt at `URI`; may be repeated; takes the place of the file's nodes",
		},
	}
}

// read takes from c what the flags' destinations don't hold.
func (o *wishOptions) read(c *cli.Context) error {
	if err := operands(c); err != nil {
		return err
	}
	o.uris = c.StringSlice("uri")
	o.entity = given(c, "entity")
	return nil
}

// given tells whether a global flag, or its variable, was used before or after
// the command.
func given(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Lineage(), func(level *cli.Context) bool { return level.IsSet(name) })
}

// wish reads the file, gives the flags and variables their precedence over it, and
// says where the wish comes from.
func (e *env) wish(o wishOptions) (spec.Spec, error) {
	wish, err := spec.Load(o.config)
	if err != nil {
		return spec.Spec{}, err
	}
	if e.confFile == "" {
		e.confFile = wish.Cluster.CephConf
	}
	if !o.entity && wish.Cluster.Entity != "" {
		e.entity = wish.Cluster.Entity
	}
	var replaced bool
	if len(o.uris) > 0 {
		replaced = len(wish.Nodes) > 0
		wish.Nodes = nodesOf(o.uris)
	}
	if e.output == "json" {
		return wish, nil // it is in the document
	}
	if wish.File == "" {
		e.notef("no %s: the standard integration is wanted", spec.DefaultPath)
	} else {
		e.notef("%s says what is wanted", wish.File)
	}
	switch {
	case replaced:
		e.notef("the nodes in %s don't count: --uri or RBDCTL_LIBVIRT_URI names others", wish.File)
	case len(wish.Nodes) == 0 && len(wish.Secrets) > 0:
		e.notef("no libvirt is known, so secrets are not part of this: name nodes in the file, or --uri, or RBDCTL_LIBVIRT_URI")
	}
	return wish, nil
}

// nodesOf names nodes by their URIs, each once.
func nodesOf(uris []string) []spec.Node {
	var nodes []spec.Node
	for _, uri := range uris {
		if slices.ContainsFunc(nodes, func(n spec.Node) bool { return n.URI == uri }) {
			continue
		}
		name := uri
		if u, err := url.Parse(uri); err == nil {
			name = u.Redacted()
		}
		nodes = append(nodes, spec.Node{Name: name, URI: uri})
	}
	return nodes
}
