package integration

import (
	"fmt"
	"strings"
)

// State is how an item is, compared with what is wanted.
type State string

// The states.
const (
	OK          State = "ok"
	Kept        State = "kept"        // finished; something of it is not as wanted and stays so unless data may move
	Differs     State = "differs"     // a plan would change it
	Missing     State = "missing"     // a plan would make it
	Refused     State = "refused"     // it is in the way of what is wanted
	Unreachable State = "unreachable" // nothing is known
)

// Finding is the state of one item.
type Finding struct {
	Part   Part   `json:"part"`
	Name   string `json:"name,omitempty"`
	Node   string `json:"node,omitempty"`
	State  State  `json:"state"`
	Detail string `json:"detail,omitempty"`
}

// Status is how things are. Of a cluster that can't be reached there is one
// finding, see [Unknown].
type Status struct {
	FSID     string    `json:"fsid,omitempty"`
	AsWanted bool      `json:"as_wanted"` // every finding is OK or Kept
	Findings []Finding `json:"findings"`
}

// Status is what a plan says about how things are now.
func (p Plan) Status() Status {
	s := Status{FSID: p.FSID, AsWanted: true}
	for _, i := range p.Items {
		s.add(finding(i))
	}
	for _, r := range p.Refusals {
		s.add(Finding{Part: r.Part, Name: r.Name, Node: r.Node, State: Refused, Detail: r.Text})
	}
	for _, f := range p.Failures {
		s.add(Finding{Part: Secret, Node: f.Node, State: Unreachable, Detail: f.Text})
	}
	return s
}

// Unknown is the status of a cluster that can't be asked, and why.
func Unknown(err error) Status {
	detail := strings.ReplaceAll(err.Error(), "\n", "; ")
	return Status{Findings: []Finding{{Part: Cluster, State: Unreachable, Detail: detail}}}
}

// add puts f in the place of an earlier finding on the same item; refusals add up.
func (s *Status) add(f Finding) {
	if f.State != OK && f.State != Kept {
		s.AsWanted = false
	}
	for i, earlier := range s.Findings {
		if earlier.Part == f.Part && earlier.Name == f.Name && earlier.Node == f.Node {
			if earlier.State == Refused {
				f.Detail = earlier.Detail + "; " + f.Detail
			}
			s.Findings[i] = f
			return
		}
	}
	s.Findings = append(s.Findings, f)
}

func finding(i Item) Finding {
	f := Finding{Part: i.Part, Name: i.Name, Node: i.Node, State: OK}
	if i.Part != Entity { // caps are too long to be read beside others
		f.Detail = i.Want
	}
	switch i.Action {
	case Create:
		f.State = Missing
	case Change:
		f.State, f.Detail = Differs, strings.Join(differences(i), "; ")
	case Keep:
		if len(i.Kept) > 0 {
			f.State, f.Detail = Kept, strings.Join(keptText(i), "; ")
		}
	}
	return f
}

// differences says in what way an item is not as wanted.
func differences(i Item) []string {
	var out []string
	for _, grant := range i.Adds {
		out = append(out, "lacks "+grant)
	}
	for _, grant := range i.Drops {
		out = append(out, "has "+grant)
	}
	out = append(out, i.Steps...)
	if len(out) == 0 {
		out = append(out, "value or attributes")
	}
	return out
}

func keptText(i Item) []string {
	var out []string
	for _, k := range i.Kept {
		out = append(out, fmt.Sprintf("%s is %s, wanted %s", k.Field, k.Now, k.Want))
	}
	return out
}
