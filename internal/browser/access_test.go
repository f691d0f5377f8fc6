package browser

// checkAccess looks for what keeps people out who do not see the page, or see it
// badly: controls without a name, text with too little contrast (WCAG 2.2, 1.4.3:
// 4.5 to 1, 3 to 1 when large), headings that skip a level, ids that are there
// twice, and targets that are too small (2.5.8: 24 by 24 pixels, links in text
// aside).
func (b *tab) checkAccess(where string) {
	b.t.Helper()
	var faults []string
	b.eval(accessScript, &faults)
	for _, f := range faults {
		b.t.Errorf("%s: %s", where, f)
	}
}

const accessScript = `(() => {
  const faults = [];
  const shown = (e) => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== "hidden";
  const tell = (what, e) => faults.push(what + ": " + e.outerHTML.slice(0, 160));
  const name = (e) => (e.getAttribute("aria-label") || (e.labels && [...e.labels].map((l) => l.textContent).join(" ")) ||
    (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ") || e.textContent || "").trim();
  for (const e of document.querySelectorAll("a[href], button, input, select, [tabindex], [role=img], dialog[open]")) {
    if (!shown(e) || e.id === "main") continue;
    if (["INPUT", "SELECT"].includes(e.tagName) ? !((e.labels && e.labels.length) || e.getAttribute("aria-label")) : !name(e)) tell("no name", e);
    const r = e.getBoundingClientRect();
    if (["BUTTON", "INPUT", "SELECT"].includes(e.tagName) && (r.height < 24 || r.width < 24)) tell("too small to hit", e);
  }
  const ids = new Set();
  for (const e of document.querySelectorAll("[id]")) { if (ids.has(e.id)) tell("id twice", e); ids.add(e.id); }
  let before = 0;
  for (const e of document.querySelectorAll("main :is(h1, h2, h3)")) {
    if (!shown(e)) continue;
    const level = +e.tagName[1];
    if (level > before + 1) tell("heading skips a level", e);
    before = level;
  }
  for (const [what, n] of [["main", 1], ["header", 1], ["nav", 1], ["main h1", 1]]) {
    if (document.querySelectorAll(what).length !== n) faults.push("want " + n + " of " + what);
  }
  if (!document.documentElement.lang || !document.title) faults.push("no lang or no title");
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const over = (f, b) => { const a = f[3] ?? 1; return [0, 1, 2].map((i) => f[i] * a + b[i] * (1 - a)); };
  const behind = (e) => {
    const layers = [];
    for (let p = e; p; p = p.parentElement) { const c = parse(getComputedStyle(p).backgroundColor); layers.push(c); if ((c[3] ?? 1) === 1) break; }
    return layers.reverse().reduce((b, f) => over(f, b), [255, 255, 255]);
  };
  const seen = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walk.nextNode());) {
    const e = n.parentElement;
    if (!n.textContent.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(e.tagName) || !shown(e)) continue;
    const c = getComputedStyle(e), b = behind(e), f = over(parse(c.color), b);
    const [x, y] = [light(f), light(b)].sort((p, q) => q - p), ratio = (x + 0.05) / (y + 0.05);
    const size = parseFloat(c.fontSize), large = size >= 24 || size >= 18.66 && +c.fontWeight >= 700;
    const key = c.color + b + large;
    if (ratio < (large ? 3 : 4.5) && !seen.has(key)) { seen.add(key); tell("contrast " + ratio.toFixed(2), e); }
  }
  return faults;
})()`
