// virtualList shows the rows that can be seen of however many there are. row(item) makes an
// element, fill(element, item) sets what it shows; elements are used again.
const virtualList = (label, row, fill) => {
  const el = h("div", { class: "list", role: "list", "aria-label": label });
  const used = new Map(); // by index
  let items = [], height = 58;
  const update = () => {
    height = matchMedia("(max-width: 46rem)").matches ? 84 : 58;
    el.style.height = items.length * height + "px";
    const top = -el.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(top / height) - 5), to = Math.min(items.length, Math.ceil((top + innerHeight) / height) + 5);
    for (const [i, e] of used) {
      if ((i < from || i >= to) && e.firstChild !== document.activeElement) { e.remove(); used.delete(i); }
    }
    for (let i = from; i < to; i++) {
      let e = used.get(i);
      if (!e) {
        e = h("div", { role: "listitem" }, row());
        used.set(i, e);
        // In their order, which is that of the tab key.
        let next = null;
        for (const [j, o] of used) if (j > i && (next === null || j < next[0])) next = [j, o];
        el.insertBefore(e, next && next[1].parentNode ? next[1] : null);
      }
      e.setAttribute("aria-setsize", items.length);
      e.setAttribute("aria-posinset", i + 1);
      e.firstChild.style.transform = "translateY(" + i * height + "px)";
      e.firstChild.dataset.index = i;
      fill(e.firstChild, items[i]);
    }
    for (const [i, e] of used) if (i >= items.length) { e.remove(); used.delete(i); }
  };
  const keys = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
  el.addEventListener("keydown", (e) => {
    const at = e.target.dataset && e.target.dataset.index;
    if (!(e.key in keys) || at === undefined || e.ctrlKey || e.altKey || e.metaKey) return;
    e.preventDefault();
    const to = Math.min(items.length - 1, Math.max(0, +at + keys[e.key]));
    const y = el.getBoundingClientRect().top + to * height;
    if (y < 140 || y > innerHeight - height) scrollBy(0, y - innerHeight / 2);
    update();
    const next = used.get(to);
    if (next) next.firstChild.focus({ preventScroll: true });
  });
  return { el, update, show: (list) => { items = list; update(); } };
};
