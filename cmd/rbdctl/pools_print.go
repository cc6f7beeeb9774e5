package main

import (
	"fmt"
	"io"
	"strings"

	"rbdctl/pools"
)

// printPlan shows a plan on standard output.
func (e *env) printPlan(plan pools.Plan) error {
	var text strings.Builder
	switch e.output {
	case "json":
		return e.printJSON(plan)
	case "commands":
		for _, s := range plan.Steps {
			text.WriteString(s.String() + "\n")
		}
	default:
		e.writePlan(&text, plan)
	}
	_, err := io.WriteString(e.out, text.String())
	return err
}

// writePlan is the plan for a person, 80 columns wide for the usual pools.
func (e *env) writePlan(w *strings.Builder, plan pools.Plan) {
	where := "offline"
	if plan.FSID != "" {
		where = fmt.Sprintf("cluster %s, ceph %s", plan.FSID, plan.Version)
	}
	fmt.Fprintf(w, "%s: %d OSDs\nPG replicas per OSD: target %d, limit %d\n",
		where, plan.OSDs, plan.Target, plan.MaxPGPerOSD)
	if len(plan.Existing) > 0 {
		fmt.Fprintf(w, "beside these pools: %s\n", existingText(plan.Existing))
	}
	w.WriteString("\n")
	t := e.table("POOL", "SIZE", "%DATA", "EVEN", "CARD", "PGCALC", "AUTO", "BULK", "NOW", "PLAN", "ACTION")
	t.SetOutputMirror(w)
	for _, p := range plan.Pools {
		now := any("-")
		if p.Now > 0 {
			now = p.Now
		}
		t.AppendRow([]any{
			p.Name, p.Size, fmt.Sprintf("%.3g", p.Weight), fmt.Sprintf("%.4g", p.Raw),
			p.Card, p.PGCalc, p.Predicted.PGNum, p.Predicted.Bulk, now, p.PGNum, p.Action,
		})
	}
	t.Render()
	fmt.Fprintf(w, "\nPG replicas per OSD: mean %.4g, max %.4g (%s); before: mean %.4g, max %.4g\n",
		plan.Replicas.Mean, plan.Replicas.Max, plan.Replicas.MaxOSD, plan.Replicas.Before.Mean, plan.Replicas.Before.Max)
	fmt.Fprintf(w, "AUTO, BULK: the autoscaler of %s, without and with bulk\n", pools.AutoscalerModel)
	for _, p := range plan.Pools {
		writeKeptPool(w, p.Name, p.Kept)
	}
}

// writeKeptPool lists what of a pool is not as wanted and stays so.
func writeKeptPool(w *strings.Builder, pool string, kept []pools.Difference) {
	for _, k := range kept {
		moved := ""
		if k.Moved > 0 {
			moved = ", about " + sizeText(k.Moved)
		}
		text := fmt.Sprintf("kept %s %s %s (wanted %s): %s%s: --allow-data-movement changes it",
			pool, k.Field, k.Now, k.Want, k.Reason, moved)
		w.WriteString(strings.Join(wrapWords(text, helpWidth-2), "\n  ") + "\n")
	}
}

func existingText(existing []pools.Existing) string {
	var parts []string
	for _, x := range existing {
		parts = append(parts, fmt.Sprintf("%s (%d PGs × %d)", x.Name, x.PGNum, x.Size))
	}
	return strings.Join(parts, ", ")
}

// printPools shows what was read back.
func (e *env) printPools(result pools.Result) error {
	if e.output == "json" {
		return e.printJSON(result)
	}
	var text strings.Builder
	t := e.table("POOL", "PGS", "MODE", "SIZE", "MIN", "CRUSH RULE", "NODELETE", "ACTION")
	t.SetOutputMirror(&text)
	for _, p := range result.Pools {
		t.AppendRow([]any{p.Name, p.PGNum, p.Mode, p.Size, p.MinSize, p.Rule, p.NoDelete, p.Action})
	}
	t.Render()
	for _, p := range result.Pools {
		writeKeptPool(&text, p.Name, p.Kept)
	}
	if !result.Changed {
		text.WriteString("nothing to change\n")
	}
	_, err := io.WriteString(e.out, text.String())
	return err
}

// printWarnings goes to standard error, except in JSON, which has them inside.
func (e *env) printWarnings(warnings []pools.Warning) {
	if e.output == "json" {
		return
	}
	for _, w := range warnings {
		e.warnf("%s", w.Text)
	}
}
