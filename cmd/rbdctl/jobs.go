package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"rbdctl/rbd"
)

func jobsCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:        "jobs",
		Usage:       "long work that sidecars do in the background",
		Subcommands: []*cli.Command{jobsLsCommand(e), jobsWatchCommand(e), jobsCancelCommand(e)},
	}
}

// jobJSON is a job as JSON output shows it.
type jobJSON struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Source  string    `json:"source,omitempty"` // of an import: the snapshot that is read
	Target  string    `json:"target,omitempty"` // of a migration: the pool to be
	State   string    `json:"state"`
	Done    uint64    `json:"done"`
	Total   uint64    `json:"total"` // in the unit of done; 0: not known
	Error   string    `json:"error,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

func jobJSONOf(j rbd.Job) jobJSON {
	return jobJSON{
		ID: j.ID, Kind: j.Kind, Subject: j.Subject, Source: j.Source, Target: j.Target, State: j.State,
		Done: j.Done, Total: j.Total, Error: j.Error, Created: j.Created.UTC(), Updated: j.Updated.UTC(),
	}
}

// ended tells whether a job changes no more.
func ended(j rbd.Job) bool {
	return j.State == rbd.JobDone || j.State == rbd.JobFailed || j.State == rbd.JobCancelled
}
