// nodesView: what every node has of every stream, as the one that is asked knows it.
const nodesView = () => {
  const bus = h("div"), nodes = h("div"), rules = h("div");
  const about = (n) => [n.node, n.leader && h("p", { class: "dim" }, "leader"), n.version && h("p", { class: "dim" }, n.version)];
  const heard = (n) => n.heard_seconds < 0 ? "never heard of" : n.state === "silent" ? "for " + Math.round(n.heard_seconds) + " s" : n.copy && !n.copy.current ? "its copy lacks " + n.copy.lag + (n.copy.lag === 1 ? " entry" : " entries") : "";
  const rows = (n) => (n.streams.length ? n.streams : [null]).map((x, i) => [
    i === 0 ? about(n) : h("span", { class: "dim" }, n.node), i === 0 ? [tag(n.state, level(n.state)), h("p", { class: "dim" }, heard(n))] : "",
    x ? h("code", null, x.stream) : "–", x ? [tag(x.state, x.state === "following" ? "ok" : "bad"), x.error && h("p", { class: "dim" }, x.error)] : "–",
    x ? x.version + (x.head > x.version ? " of " + x.head : "") : "–", x ? h("code", null, x.digest.slice(0, 12)) : "–", x && x.applied_at ? ago(x.applied_at) : "–"]);
  const load = async () => {
    try {
      const [c, r] = await Promise.all([ask("api/v1/cluster"), ask("api/v1/ip-rules")]);
      put(bus, h("dl", { class: "facts" },
        h("dt", null, "Event bus"), h("dd", null, c.bus === "off" ? "off: this node stands alone" : c.bus + " " + (c.name || "")),
        c.bus !== "off" && [h("dt", null, "Appends"), h("dd", null, tag(c.quorum ? "possible" : "not possible", c.quorum ? "ok" : "bad"), c.leader && " leader " + c.leader)],
        c.expected > 0 && [h("dt", null, "Nodes"), h("dd", null, c.nodes.length + " of " + c.expected)],
        c.error && [h("dt", null, "Error"), h("dd", { class: "bad" }, c.error)]));
      put(nodes, c.nodes.length === 0 ? h("p", { class: "dim" }, "There is no event bus.")
        : [table("Applied events", ["Node", "State", "Stream", "Follows", "n:Version", "Digest", "Applied"], c.nodes.flatMap(rows)),
          h("p", { class: "dim" }, "Nodes with the same version and digest of a stream have applied the same.")]);
      put(rules, h("p", null, r.rules > 0 ? plural(r.rules, "rule") + " from " + r.source + ", since " + when(r.since) : "None: everybody may enter, as far as applications let them."),
        r.problem && h("p", { class: "bad wrap" }, "Newer ones cannot be used: " + r.problem));
    } catch (e) { put(nodes, h("p", { class: "bad" }, e.message)); }
  };
  let beats = 0;
  return {
    title: "Nodes", el: [h("h1", null, "Nodes"), card(null, null, bus), card("What each has applied", null, nodes), card("IP rules", "of this node", rules)],
    update: (what) => { if (what.has("all") || what.has("hello") || what.has("overview") || what.has("change") || what.has("beat") && ++beats % 5 === 0) load(); },
  };
};
