const overviewView = () => {
  const charts = [
    chart("Requests", "per second", [[1, "requests", (x) => x.requests]], (x) => number(x.requests)),
    chart("Errors", "per second", [[3, "500 and above", (x) => x.server_errors], [2, "400 to 499", (x) => x.client_errors]], (x) => number(x.server_errors + x.client_errors)),
    chart("Latency", "p99", [[1, "p99", (x) => x.p99_ms], [2, "p50", (x) => x.p50_ms]], (x) => millis(x.p99_ms)),
  ];
  const counts = h("p", { class: "counts" }), wrong = h("div"), sources = h("div"), nodes = h("div");
  const nodesCard = card("Nodes", null, nodes);
  const el = [h("h1", null, "Overview"), h("div", { class: "grid" }, charts.map((c) => c.el)), card(null, null, counts),
    card("What is wrong now", null, wrong), h("div", { class: "grid" }, card("Sources", null, sources), nodesCard)];
  const about = (t) => t.what === "application" ? link(t.name)
    : t.what.startsWith("certificate") ? h("a", { href: "#/certs" }, (t.what === "certificates" ? "certificates from " : "") + t.name) : t.what === "node" || t.what === "bus" || t.what === "ip_rules" ? h("a", { href: "#/nodes" }, [t.what.replace("ip_rules", "IP rules"), t.name].filter(Boolean).join(" "))
    : h("span", null, [t.what, t.name].filter(Boolean).join(" "));
  const update = (what) => {
    if (what.has("beat") || what.has("hello") || what.has("all")) for (const c of charts) c.update();
    const o = store.overview;
    if (!o || !(what.has("overview") || what.has("all") || what.has("beat"))) return;
    keep(sources, () => put(sources, table("Sources", ["Source", "State", "n:Applications", "Last change"], o.sources.map((x) => [
      x.name, [tag(x.state, level(x.state)), x.last_error && h("p", { class: "dim" }, x.last_error)], x.apps, ago(x.updated_at)]))));
    if (what.has("beat") && what.size === 1) return; // ages alone
    put(counts, [[o.apps, "application"], [o.peers_up + " / " + o.peers, "peers up"], [o.certs, "certificate"], [o.conflicts, "conflict"], o.ip_rules > 0 && [o.ip_rules, "IP rule"]].filter(Boolean).map(
      ([n, name]) => h("span", null, h("b", null, n), name + (typeof n === "number" && n !== 1 ? "s" : ""))));
    keep(wrong, () => put(wrong, o.troubles.length === 0 ? h("p", { class: "ok" }, "Nothing: all that is configured is served.")
      : h("ul", { class: "troubles" }, o.troubles.map((t) => h("li", null, tag(t.severity === "bad" ? "failing" : "warning", t.severity),
        h("div", null, h("p", null, about(t)), h("p", null, t.text))))),
    o.trouble_count > o.troubles.length && h("p", { class: "dim" }, "and " + (o.trouble_count - o.troubles.length) + " more")));
    nodesCard.hidden = o.nodes.length === 0;
    put(nodes, table("Nodes", ["Node", "State", "n:Generation", "Version"], o.nodes.map((n) => [
      [n.node, n.leader && h("span", { class: "dim" }, " leader")],
      [tag(n.state, level(n.state)), n.silent_seconds > 0 && h("span", { class: "dim" }, " for " + n.silent_seconds + " s")], n.generation, n.version])),
    o.bus && h("p", { class: "dim" }, "Event bus: " + o.bus + ". ", h("a", { href: "#/nodes" }, "What each node has applied")));
  };
  return { title: "Overview", el, update };
};
