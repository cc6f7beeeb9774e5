package main

import (
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress is a bar on standard error, on a terminal only.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

// progress begins a bar that counts bytes.
func (e *env) progress(name string) *progress {
	var out io.Writer // nil: mpb draws nothing
	if interactive(e.err) {
		out = e.err
	}
	p := mpb.New(mpb.WithOutput(out), mpb.WithWidth(30))
	return &progress{container: p, bar: p.AddBar(0,
		mpb.PrependDecorators(decor.Name(name)),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), " % .1f")),
		mpb.BarRemoveOnComplete(),
	)}
}

// report is an rbd.Progress.
func (p *progress) report(done, total uint64) {
	p.bar.SetTotal(int64(total), false)
	p.bar.SetCurrent(int64(done))
}

// end takes the bar away.
func (p *progress) end(complete bool) {
	if complete {
		p.bar.SetTotal(-1, true)
	} else {
		p.bar.Abort(true)
	}
	p.container.Wait()
}
