package browser

import (
	"fmt"
	"strings"
	"testing"
)

// TestTenThousand: the page follows 10,000 applications with a few rows in the
// document, and shows a change of one without asking for the others.
func TestTenThousand(t *testing.T) {
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
	b.enter("#find", "app-09999")
	b.until("finding is quick", `document.body.innerText.includes("1 of 10000 applications")`)
	b.quiet()
}
