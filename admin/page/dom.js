// Elements. Text goes in as text nodes and nothing is ever read as markup, so that whatever ids,
// hosts, labels and paths have in them stays what it is: text.
const byId = (id) => document.getElementById(id);

// h("a", {class: "x", href: "#/"}, "text", child): null and false children are left out.
const h = (tag, props, ...children) => {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "onclick") e.addEventListener("click", value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  put(e, ...children);
  return e;
};
const s = (tag, attrs) => {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attrs || {})) e.setAttribute(name, value);
  return e;
};
const put = (e, ...children) => {
  e.replaceChildren(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false));
  return e;
};
// keep lets make replace what is in e, and gives the focus back to what had it: the control of the
// same name or place, or else the page.
const keep = (e, make) => {
  const controls = () => [...e.querySelectorAll("a, button")], name = (c) => c.getAttribute("aria-label") || c.textContent;
  const all = controls(), at = all.indexOf(document.activeElement), had = at >= 0 && name(all[at]);
  make();
  if (at < 0 || document.activeElement !== document.body) return;
  const now = controls();
  (now.find((c) => name(c) === had) || now[at] || byId("main")).focus({ preventScroll: true });
};
// setText leaves alone what is the same: screen readers speak what changes.
const setText = (e, text) => { if (e.textContent !== String(text)) e.textContent = text; };

const card = (title, note, ...body) => h("section", { class: "card" },
  title && h("h2", null, title, note && h("span", { class: "dim" }, note)), ...body);
const tag = (text, level) => h("span", { class: "tag " + (level || "") }, text);
const link = (id) => h("a", { href: "#/apps/" + encodeURIComponent(id) }, id);

// table(["Name", "n:Count"], rows): a cell is a node, a text, or a list of them. On narrow screens
// each row becomes a block with the names of its columns.
const table = (caption, columns, rows) => {
  const names = columns.map((c) => c.replace(/^n:/, ""));
  const cls = columns.map((c) => c.startsWith("n:") ? "n" : null);
  return h("table", { class: "stack", "aria-label": caption },
    h("thead", null, h("tr", null, names.map((n, i) => h("th", { scope: "col", class: cls[i] }, n)))),
    h("tbody", null, rows.map((r) => h("tr", null, r.map((c, i) => h("td", { class: cls[i], "data-name": names[i] }, h("div", null, c)))))));
};
const diff = (lines) => h("ul", { class: "diff" }, (lines || []).map((l) => h("li", null, l)));
