const certsView = () => {
  const body = h("div"), notes = h("div");
  const load = async () => {
    try {
      const answer = await ask("api/v1/certs");
      const wrong = Object.entries(answer.problems).flatMap(([source, all]) => all.map((p) => [source, p.message, p.file]));
      put(notes, wrong.length > 0 && card("What is wrong", "certificates in service stay", h("ul", { class: "troubles" },
        wrong.slice(0, 200).map(([source, message, file]) => h("li", null, tag(source, "bad"), h("div", null, h("p", null, message), file && h("p", { class: "dim" }, file)))))));
      const list = answer.certs.sort((a, b) => a.not_after < b.not_after ? -1 : 1);
      put(body, list.length === 0 ? h("p", { class: "dim" }, "There are none: the TLS listener is off, or no source has one.") : table("Certificates", ["Names", "Source", "Valid until", "n:Days left", "Issuer"], list.slice(0, 1000).map((c) => {
        const now = Date.now() + store.skew, days = Math.floor((new Date(c.not_after) - now) / 86400000);
        const left = Math.max(0, Math.min(1, (new Date(c.not_after) - now) / Math.max(1, new Date(c.not_after) - new Date(c.not_before))));
        const lv = c.expired || days < 0 ? "bad" : left < 0.15 ? "warn" : "ok";
        const bar = h("i");
        bar.style.width = Math.round(left * 100) + "%";
        return [[...c.names, ...(c.ips || [])].map((n) => h("div", null, h("code", null, n))), [c.source, c.origin && c.origin !== c.source && h("p", { class: "dim" }, c.origin)], when(c.not_after),
          [h("span", { class: lv }, c.expired ? "expired" : String(days)), h("div", { class: "meter " + lv, "aria-hidden": "true" }, bar)], [c.issuer, h("p", { class: "dim" }, c.key_type)]];
      })));
    } catch (e) { put(body, h("p", { class: "bad" }, e.message)); }
  };
  return { title: "Certificates", el: [h("h1", null, "Certificates"), notes, card(null, null, body)], update: (what) => { if (what.has("all") || what.has("hello") || what.has("overview")) load(); } };
};

const eventsView = () => {
  const body = h("div");
  const kind = { added: "ok", removed: "bad", changed: "warn" };
  const update = (what) => {
    if (!(what.has("all") || what.has("hello") || what.has("change"))) return;
    const list = store.changes.toReversed();
    keep(body, () => put(body, list.length === 0 ? h("p", { class: "dim" }, "Nothing has changed since this node started.") : h("ol", { class: "timeline" }, list.map((c) => h("li", null,
      h("div", { class: "when" }, h("b", null, "Generation " + c.generation), h("time", { class: "dim", datetime: c.at }, when(c.at)), c.missed && tag(c.missed + " changes were lost before this one", "warn")),
      c.changes.map((x) => h("div", null, tag(x.kind, kind[x.kind]), " ", x.kind === "removed" ? h("b", null, x.id) : link(x.id), x.source && h("span", { class: "dim" }, " by " + x.source), diff(x.details))),
      c.more > 0 && h("p", { class: "dim" }, "and " + plural(c.more, "more change")),
      (c.conflicts || []).map((x) => h("p", { class: "wrap" }, tag("conflict", "warn"), " ", x)), (c.problems || []).map((x) => h("p", { class: "wrap" }, tag("problem", "bad"), " ", x)))))));
  };
  return { title: "Events", el: [h("h1", null, "Events"), card("What changed", "newest first, the last 100 of this node", body)], update };
};
