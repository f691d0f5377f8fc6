// chart is a small line chart of the last five minutes. lines are [class, name, (sample) => value].
const chart = (title, unit, lines, shown) => {
  const value = h("p", { class: "value" });
  const svg = s("svg", { viewBox: "0 0 300 64", preserveAspectRatio: "none", role: "img" });
  const fill = s("path", { class: "fill" });
  svg.append(s("line", { class: "base", x1: 0, x2: 300, y1: 63.5, y2: 63.5, "vector-effect": "non-scaling-stroke" }), fill);
  const paths = lines.map(([c]) => s("path", { class: "s" + c, "vector-effect": "non-scaling-stroke" }));
  svg.append(...paths);
  const legend = lines.length > 1 && h("p", { class: "legend" }, lines.map(([c, name]) => h("span", null, h("i", { class: "k" + c }), name)));
  const el = h("section", { class: "card chart" }, h("h2", null, title), value, svg, legend);
  const update = () => {
    const samples = store.samples;
    const last = samples.at(-1);
    const text = last ? shown(last) : "–";
    put(value, text, h("small", null, unit));
    const top = Math.max(1e-9, ...samples.flatMap((x) => lines.map(([, , f]) => f(x))));
    const step = 300 / Math.max(30, samples.length - 1); // a minute at least
    const x = (i) => (300 - (samples.length - 1 - i) * step).toFixed(1);
    const d = (f) => samples.map((v, i) => (i ? "L" : "M") + x(i) + " " + (62 - 60 * f(v) / top).toFixed(1)).join("");
    lines.forEach(([, , f], i) => paths[i].setAttribute("d", d(f)));
    if (samples.length) fill.setAttribute("d", d(lines[0][2]) + "L300 64L" + x(0) + " 64Z");
    svg.setAttribute("aria-label", title + ": " + text + " " + unit + "; the highest of the last five minutes is " + number(top < 1e-8 ? 0 : top));
  };
  return { el, update };
};
