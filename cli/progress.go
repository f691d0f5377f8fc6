package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"

	"edgerouter/turbo/deploy"
)

// progress shows how far long work has come: a bar on a terminal, otherwise a
// line every few seconds.
type progress struct {
	w     io.Writer
	what  string
	bar   *progressbar.ProgressBar // nil: lines
	began time.Time
	told  time.Time
}

const tellEvery = 5 * time.Second

func startProgress(w io.Writer, what string) *progress {
	now := time.Now()
	p := &progress{w: w, what: what, began: now, told: now}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
			progressbar.OptionShowBytes(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// show is called after each file, one call at a time.
func (p *progress) show(d deploy.Progress) {
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("%s: %d files, %d of them new", p.what, d.Files, d.Sent))
		_ = p.bar.Set64(d.Bytes)
		return
	}
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		p.line(d)
	}
}

// end says what it came to.
func (p *progress) end(d deploy.Progress) {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	p.line(d)
}

func (p *progress) line(d deploy.Progress) {
	fmt.Fprintf(p.w, "%s: %d files (%d bytes), %d of them (%d bytes) transferred, %.1f s\n",
		p.what, d.Files, d.Bytes, d.Sent, d.SentBytes, time.Since(p.began).Seconds())
}
