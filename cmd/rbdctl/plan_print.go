package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"rbdctl/backends/integration"
)

// integrationJSON is what plan prints with --output json.
type integrationJSON struct {
	Config  string `json:"config"` // path of rbdctl.yaml; empty: none
	Result  string `json:"result"` // none, changes or refused
	Changed bool   `json:"changed"`
	Moved   uint64 `json:"moved_bytes"`
	integration.Plan
}

// showIntegration prints a plan on standard output, and its warnings on standard
// error.
func (e *env) showIntegration(plan integration.Plan, config string) error {
	if e.output == "json" {
		doc := integrationJSON{Config: config, Result: "none", Changed: plan.Changed(), Moved: plan.Moved(), Plan: plan}
		switch {
		case len(plan.Refusals) > 0:
			doc.Result = "refused"
		case plan.Changed():
			doc.Result = "changes"
		}
		return e.printJSON(doc)
	}
	e.printWarnings(plan.Warnings)
	return writeIntegration(e.out, plan)
}

// writeIntegration is a plan for a person.
func writeIntegration(w io.Writer, plan integration.Plan) error {
	var b strings.Builder
	for _, i := range brief(plan.Items) {
		writeItem(&b, i)
	}
	for _, r := range plan.Refusals {
		named := integration.Item{Part: r.Part, Name: r.Name, Node: r.Node}
		fmt.Fprintf(&b, "! %s: %s\n", strings.TrimSpace(named.String()), r.Text)
	}
	writeFailures(&b, plan.Failures)
	fmt.Fprintf(&b, "\nPG replicas per OSD: mean %.4g, max %.4g; before: mean %.4g, max %.4g\n",
		plan.Replicas.Mean, plan.Replicas.Max, plan.Replicas.Before.Mean, plan.Replicas.Before.Max)
	b.WriteString(summary(plan) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func writeFailures(b *strings.Builder, failures []integration.Failure) {
	for _, f := range failures {
		fmt.Fprintf(b, "? node %s: %s\n", f.Node, strings.ReplaceAll(f.Text, "\n", "; "))
	}
}

// marks begin the line of an item.
//
//nolint:gochecknoglobals // a constant table
var marks = map[integration.Action]string{
	integration.Create: "+",
	integration.Change: "~",
	integration.Keep:   "=",
}

// brief takes the node out of items that are all about the same one: it is a
// URI, and too long for a line that has something else to say.
func brief(items []integration.Item) []integration.Item {
	if severalNodes(items) {
		return items
	}
	items = slices.Clone(items)
	for i := range items {
		items[i].Node = ""
	}
	return items
}

func severalNodes(items []integration.Item) bool {
	nodes := map[string]bool{}
	for _, i := range items {
		nodes[i.Node] = true
	}
	delete(nodes, "")
	return len(nodes) > 1
}

// headline is an item in one line. The caps of an entity would not fit.
func headline(i integration.Item) string {
	line := marks[i.Action] + " " + i.String()
	if i.Part != integration.Entity {
		line += ": " + i.Want
	}
	return line + "\n"
}

// writeItem is an item and, below it, what it takes or what it costs.
func writeItem(b *strings.Builder, i integration.Item) {
	b.WriteString(headline(i))
	if i.Moved > 0 {
		fmt.Fprintf(b, "    moves about %s\n", sizeText(i.Moved))
	}
	for _, step := range i.Steps {
		fmt.Fprintf(b, "    %s\n", step)
	}
	for _, grant := range i.Adds {
		fmt.Fprintf(b, "    + %s\n", grant)
	}
	for _, grant := range i.Drops {
		fmt.Fprintf(b, "    - %s\n", grant)
	}
	writeItemKept(b, i)
}

// writeItemKept is what of a pool is not as wanted and stays so.
func writeItemKept(b *strings.Builder, i integration.Item) {
	for _, k := range i.Kept {
		moved := ""
		if k.Moved > 0 {
			moved = ", about " + sizeText(k.Moved)
		}
		text := fmt.Sprintf("kept %s %s (wanted %s): %s%s: pg.allow_data_movement changes it", k.Field, k.Now, k.Want, k.Reason, moved)
		for n, line := range wrapWords(text, helpWidth-6) {
			fmt.Fprintf(b, "    %s%s\n", strings.Repeat("  ", min(n, 1)), line)
		}
	}
}

// summary is the last line of a plan.
func summary(plan integration.Plan) string {
	if len(plan.Refusals) > 0 {
		return fmt.Sprintf("refused for %s: nothing would be done", count(len(plan.Refusals), "reason"))
	}
	if !plan.Changed() {
		return "nothing to change"
	}
	n := map[integration.Action]int{}
	for _, i := range plan.Items {
		n[i.Action]++
	}
	text := fmt.Sprintf("%d to make, %d to change, %d as wanted", n[integration.Create], n[integration.Change], n[integration.Keep])
	if moved := plan.Moved(); moved > 0 {
		text += "; about " + sizeText(moved) + " would move"
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
