const appView = (id) => {
  const head = h("div", { class: "head" }), facts = h("div"), wrong = h("div"), peers = h("div"), definition = h("pre", { tabindex: "0", "aria-label": "Definition" }), past = h("div");
  const wrongCard = card("Warnings", null, wrong), peersCard = card("Peers", null, peers), historyCard = card("History", null, past);
  const definitionCard = card("Definition", "as served, secrets redacted", definition);
  const el = [h("p", { class: "crumb" }, h("a", { href: "#/apps" }, "Applications")), head, facts, wrongCard, peersCard, historyCard, definitionCard];
  wrongCard.hidden = peersCard.hidden = historyCard.hidden = true;
  put(head, h("h1", null, id));
  let last = "", asking = false, ended = false;

  const drain = (p) => act({
    title: (p.drained ? "Put back " : "Drain ") + p.addr, yes: p.drained ? "Put back" : "Drain", path: "api/v1/drain", body: { app: id, peer: p.addr, drain: !p.drained },
    text: p.drained ? "The peer takes its share of requests again, on this node."
      : "The peer gets no new clients on this node; requests that it has go on, and sticky clients still reach it. This lasts until it is put back, the node restarts, or options of the application other than its peers change.",
  }).then((ok) => ok && load());
  const rollback = (r) => act({
    title: "Roll back " + id + " to version " + r.version, yes: "Roll back", path: "api/v1/rollback", body: { app: id, version: r.version },
    text: "Every node of the cluster will serve what was declared then. This would change:", more: diff(r.back),
  }).then((ok) => ok && history());

  const purge = () => act({
    title: "Purge the cache of " + id, yes: "Purge", method: "DELETE", path: "api/v1/cache?app=" + encodeURIComponent(id),
    text: "What this node has stored of the application's responses is dropped; the next requests are answered by its peers.",
  }).then((n) => n && setText(byId("purged"), plural(n.purged, "stored response") + " dropped"));

  const show = (a) => {
    const row = store.rows.get(id);
    const [text, lv] = row ? health(row) : [a.state, level(a.state)];
    put(head, h("h1", null, a.id), tag(text, lv));
    const o = a.origin;
    put(facts, card(null, null, h("dl", { class: "facts" },
      h("dt", null, "Frontends"), h("dd", null, a.frontends.length ? a.frontends.map((f) => h("div", null, h("code", null, f))) : "none"),
      h("dt", null, "Backend"), h("dd", null, a.backend || "not served"),
      h("dt", null, "Source"), h("dd", null, a.source),
      h("dt", null, "Traffic"), h("dd", { id: "traffic" }, "–"),
      a.caches && [h("dt", null, "Cache"), h("dd", null, h("button", { class: "small", onclick: purge }, "Purge"), " ", h("span", { id: "purged", class: "dim", role: "status" }))],
      o && [h("dt", null, "Made from"), h("dd", null, o.kind.replaceAll("_", " ") + " " + o.name + " on " + (o.engine_name || o.engine)),
        (o.containers || []).length > 0 && [h("dt", null, "Containers"), h("dd", null, o.containers.slice(0, 20).map((c) => h("div", null, c.name + " " + (c.address || "") + ": " + c.state)))],
        (o.siblings || []).length > 0 && [h("dt", null, "Siblings"), h("dd", null, o.siblings.map((x) => h("div", null, link(x.id), " ", x.broken && tag(x.served ? "broken, served as before" : "broken, not served", "bad"))))]])));
    const lines = [...a.problems.map((p) => [p.message, [p.file && p.file + (p.line ? ":" + p.line : ""), p.field, p.value, p.suggestion].filter(Boolean).join(" · ")]),
      ...a.conflicts.map((c) => c.app === id ? ["frontends[" + c.frontend + "] " + (c.partial ? "gives way" : "is not served") + (c.reason && ": " + c.reason), c.claim + (c.winner ? " goes to " + c.winner : "")]
        : [c.app + " claims the same and is not served", c.claim])];
    wrongCard.hidden = lines.length === 0;
    put(wrong, h("ul", { class: "troubles" }, lines.map(([m, more]) => h("li", null, tag("warning", "warn"), h("div", null, h("p", null, m), more && h("p", { class: "dim" }, more))))));
    peersCard.hidden = a.peers.length === 0;
    put(peers, table("Peers", ["Peer", "State", "n:In flight", "n:Requests", "n:Failures", "n:Latency", "n:"], a.peers.map((p) => [
      [h("code", null, p.addr), p.weight !== 1 && h("p", { class: "dim" }, "weight " + p.weight)],
      [tag(p.state, level(p.state)), p.reason && h("p", { class: "dim" }, p.reason), p.ejected_until && h("p", { class: "dim" }, "until " + when(p.ejected_until))],
      p.in_flight, p.requests, p.failures, millis(p.latency_ms),
      p.state === "draining" && !p.drained ? "" : h("button", { class: "small", onclick: () => drain(p), "aria-label": (p.drained ? "Put back " : "Drain ") + p.addr }, p.drained ? "Put back" : "Drain")])));
    definitionCard.hidden = !a.definition;
    setText(definition, a.definition ? JSON.stringify(a.definition, null, 2) : "");
  };
  const load = async () => {
    if (asking || ended) return;
    asking = true;
    try {
      const a = await ask("api/v1/apps/" + encodeURIComponent(id));
      const text = JSON.stringify(a) + JSON.stringify(store.rows.get(id) || 0);
      if (!ended && text !== last) {
        last = text;
        keep(byId("main"), () => show(a));
      }
      traffic();
    } catch (e) {
      if (e.status === 404) { put(head, h("h1", null, id), tag("gone", "bad")); put(facts, card(null, null, h("p", null, e.message))); peersCard.hidden = wrongCard.hidden = definitionCard.hidden = true; last = ""; }
    } finally { asking = false; }
  };
  const traffic = () => {
    const t = store.traffic.get(id), e = byId("traffic");
    if (e) setText(e, t ? number(t.requests) + " requests and " + number(t.errors) + " errors per second, p99 " + millis(t.p99_ms) : "none now");
  };
  const history = async () => {
    if (!store.hello || !store.hello.history) return;
    try {
      const answer = await ask("api/v1/history?app=" + encodeURIComponent(id));
      historyCard.hidden = ended;
      keep(past, () => put(past, h("ol", { class: "timeline" }, answer.rows.map((r) => h("li", null,
        h("div", { class: "when" }, h("b", null, "Version " + r.version), tag(r.invalid ? "invalid, changed nothing" : r.change.kind, r.invalid ? "bad" : ""),
          h("time", { class: "dim", datetime: r.at }, when(r.at)), r.user && h("span", { class: "dim" }, r.user),
          r.rollback && h("button", { class: "small", onclick: () => rollback(r), "aria-label": "Roll back to version " + r.version }, "Roll back")),
        diff(r.change.details))))));
    } catch { historyCard.hidden = true; }
  };
  return {
    title: id, el, end: () => { ended = true; },
    update: (what) => {
      if (what.has("all") || what.has("hello") || what.has("change")) history();
      if (what.has("all") || what.has("beat") || what.has("change") || what.has("rows")) load();
    },
  };
};
