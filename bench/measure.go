package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// contender is one way to do a piece of work.
type contender struct {
	name string
	// run does the work of one round, and says how long the part that counts took.
	run func(ctx context.Context, round int) (time.Duration, error)
}

// timed is a contender all of whose work counts.
func timed(name string, work func(ctx context.Context, round int) error) contender {
	return contender{name, func(ctx context.Context, round int) (time.Duration, error) {
		begin := time.Now()
		err := work(ctx, round)
		return time.Since(begin), err
	}}
}

// takeTurns runs the contenders round by round, after one round that does not
// count. The order within a round rotates, so that none always comes first.
func takeTurns(ctx context.Context, log io.Writer, rounds int, contenders []contender) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(contenders))
	for round := range rounds + 1 {
		for k := range contenders {
			n := (k + round) % len(contenders)
			took, err := contenders[n].run(ctx, round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contenders[n].name, err)
			}
			if round > 0 {
				times[n] = append(times[n], took)
			}
		}
		if round%5 == 0 {
			fmt.Fprintf(log, "bench: round %d of %d\n", round, rounds)
		}
	}
	return times, nil
}

// median of values; the mean of the two in the middle.
func median[T interface{ ~int64 | ~float64 }](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// ratio is the median of a/b, round by round.
func ratio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return median(ratios)
}

// table is the outcome of a case.
type table struct {
	title, note string
	header      []string
	rows        [][]string
}

// durations is the table of a case in which shorter is better: each contender
// against the first.
func durations(title, note string, contenders []contender, times [][]time.Duration) table {
	t := table{title: title, note: note, header: []string{"", "median", "min", "max", contenders[0].name + " / this"}}
	for i, c := range contenders {
		t.rows = append(t.rows, []string{
			c.name, ms(median(times[i])), ms(slices.Min(times[i])), ms(slices.Max(times[i])),
			fmt.Sprintf("%.2f", ratio(times[0], times[i])),
		})
	}
	return t
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func (t table) write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n", t.title, t.note)
	line := func(cells []string) {
		fmt.Fprint(w, "|")
		for _, c := range cells {
			fmt.Fprintf(w, " %s |", c)
		}
		fmt.Fprintln(w)
	}
	line(t.header)
	rule := make([]string, len(t.header))
	for i := range rule {
		rule[i] = "---"
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
}
