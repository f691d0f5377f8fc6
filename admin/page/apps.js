const ranks = { broken: 0, unavailable: 1, previous: 2, running: 3 };
const rank = (r) => r.peers > 0 && r.up === 0 ? 0.5 : r.peers > r.up ? 2.5 : ranks[r.state] ?? 3;
const ordered = () => store.order ||= [...store.rows.values()].sort((a, b) => a.id < b.id ? -1 : 1);
const health = (r) => r.peers > 0 && r.up === 0 ? ["no peer up", "bad"] : r.peers > r.up && r.state === "running" ? ["degraded", "warn"] : [r.state, level(r.state)];
const backend = (r) => r.peers ? r.up + " of " + r.peers : "–";

let kept = { query: "", sort: "id" }; // between visits
const appsView = () => {
  const found = h("p", { class: "dim", role: "status" });
  const search = h("input", { id: "find", type: "search", placeholder: "id, host, source, state", autocomplete: "off", spellcheck: "false" });
  const sort = h("select", { id: "sort" }, [["id", "Name"], ["wrong", "Worst first"], ["busy", "Busiest first"]].map(([v, n]) => h("option", { value: v }, n)));
  search.value = kept.query;
  sort.value = kept.sort;
  const row = () => h("a", { class: "row" }, h("span", { class: "name" }, h("span"), h("span", { class: "sub" })), h("span", { class: "hosts" }),
    h("span", { class: "from dim" }), h("span", { class: "state" }, tag("")), h("span", { class: "n peers" }), h("span", { class: "n rate" }));
  const fill = (e, r) => {
    const [name, hosts, from, state, peers, rate] = e.children;
    e.href = "#/apps/" + encodeURIComponent(r.id);
    setText(name.children[0], r.id);
    setText(name.children[1], r.backend || "not served");
    setText(hosts, r.frontends.join("  ") || "–");
    setText(from, r.source);
    const [text, level] = health(r);
    setText(state.firstChild, text);
    state.firstChild.className = "tag " + level;
    setText(peers, backend(r));
    const t = store.traffic.get(r.id);
    setText(rate, t ? number(t.requests) + "/s" : "–");
    rate.className = "n rate" + (t && t.errors ? " bad" : t ? "" : " dim");
  };
  const list = virtualList("Applications", row, fill);
  const heads = ["Application", "Frontends", "Source", "State", "Peers up", "Traffic"];
  const el = [h("h1", null, "Applications"),
    h("div", { class: "tools" }, h("div", { class: "field" }, h("label", { for: "find" }, "Find"), search), h("div", { class: "field small" }, h("label", { for: "sort" }, "Order"), sort)),
    found, h("section", { class: "card list-card" }, h("div", { class: "list-head", "aria-hidden": "true" }, heads.map((n, i) => h("span", { class: i > 3 ? "n" : null }, n))), list.el)];
  let looked = null;
  const select = () => {
    kept = { query: search.value, sort: sort.value };
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let rows = ordered();
    if (words.length) {
      rows = rows.filter((r) => {
        const text = (r.text ||= [r.id, r.source, r.state, r.backend, ...r.frontends].join(" ").toLowerCase());
        return words.every((w) => text.includes(w));
      });
    }
    if (sort.value === "wrong") rows = [...rows].sort((a, b) => rank(a) - rank(b) || b.problems - a.problems);
    if (sort.value === "busy") rows = [...rows].sort((a, b) => (store.traffic.get(b.id)?.requests || 0) - (store.traffic.get(a.id)?.requests || 0));
    setText(found, rows.length + " of " + plural(store.rows.size, "application"));
    list.show(rows);
  };
  search.addEventListener("input", () => { clearTimeout(looked); looked = setTimeout(select, 60); });
  sort.addEventListener("change", select);
  const scrolled = () => list.update();
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", scrolled);
  return {
    title: "Applications", el,
    update: (what) => what.has("rows") || what.has("hello") || what.has("all") || kept.sort === "busy" && what.has("beat") ? select() : what.has("beat") && list.update(),
    end: () => { removeEventListener("scroll", scrolled); removeEventListener("resize", scrolled); },
  };
};
