package browser

import (
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"edgerouter/internal/testkit"
)

var figures = flag.Bool("figures", false, "measure what 10,000 applications cost the node and the browser")

// figuresOf tells the size of the page, the memory of its scripts, and what the
// node works with and without somebody who looks, in ten seconds each.
func figuresOf(t *testing.T, e *edge, b *tab) {
	t.Helper()
	work := func(what string) {
		cpu := func() float64 {
			m := regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)$`).FindStringSubmatch(e.get("metrics"))
			if m == nil {
				t.Fatal("no process_cpu_seconds_total")
			}
			v, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		before, begin := cpu(), time.Now()
		time.Sleep(10 * time.Second)
		t.Logf("%s: the node uses %.2f %% of a core", what, 100*(cpu()-before)/time.Since(begin).Seconds())
	}
	var heap, busy float64
	b.eval(`performance.memory.usedJSHeapSize / 1e6`, &heap)
	t.Logf("the document has %d bytes; its scripts hold %.1f MB", len(e.get("")), heap)
	work("with a page open")
	// The time of the main thread that is not there for people, in 10 s.
	b.await(`new Promise((done) => {
	  let late = 0, last = performance.now(); const begin = last;
	  const tick = () => { const now = performance.now(); late += Math.max(0, now - last - 20); last = now; now - begin > 10000 ? done(late / (now - begin) * 100) : setTimeout(tick, 10); };
	  tick();
	})`, &busy)
	t.Logf("the page's thread is late %.2f %% of the time", busy)
	b.do(chromedp.Navigate("about:blank"))
	work("with no page open")
	b.open(e.url("#/apps"))
	b.until("all are there", `document.body.innerText.includes("10000 of 10000 applications")`)
}

// TestTenThousand: the page follows 10,000 applications with a few rows in the
// document, and shows a change of one without asking for the others.
func TestTenThousand(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	definitions := func(first string) string {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, `,{"id":"app-%05d","frontends":[{"kind":"hostname","hostname":"a%d.example.com"}],"backend":{"kind":"redirect","redirect_opts":{"to":"https://%s.example.org/"}}}`, i, i, first)
			first = "x"
		}
		return `{"apps":[` + b.String()[1:] + `]}`
	}
	e := startEdge(t, definitions("x"))
	b := openTab(t, 1280, 900)
	b.open(e.url("#/apps"))
	b.until("all are there", `document.body.innerText.includes("10000 of 10000 applications")`)
	var took float64
	b.eval(`performance.now()`, &took)
	e.write(definitions("changed"))
	b.until("the change is shown", `document.querySelector(".row").innerText.includes("changed.example.org")`)
	var scroll struct {
		Rows, Nodes  int
		Milliseconds float64
	}
	b.eval(`(() => {
	  const begin = performance.now();
	  for (let y = 0; y < 580000; y += 5800) { scrollTo(0, y); dispatchEvent(new Event("scroll")); document.body.offsetHeight; }
	  return {Rows: document.querySelectorAll(".row").length, Nodes: document.querySelectorAll("*").length, Milliseconds: (performance.now() - begin) / 100};
	})()`, &scroll)
	t.Logf("10,000 applications shown within %.0f ms of the navigation; a jump in the list takes %.2f ms with %d rows and %d elements", took, scroll.Milliseconds, scroll.Rows, scroll.Nodes)
	if scroll.Rows > 60 || scroll.Nodes > 1500 {
		t.Errorf("%+v", scroll)
	}
	if *figures {
		figuresOf(t, e, b)
	}
	b.enter("#find", "app-09999")
	b.until("finding is quick", `document.body.innerText.includes("1 of 10000 applications")`)
	b.quiet()
}
