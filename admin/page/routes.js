let question = { url: "", method: "GET", header: "" }; // between visits
const routesView = () => {
  const url = h("input", { id: "url", type: "text", inputmode: "url", placeholder: "https://shop.example.com/cart", autocomplete: "off", spellcheck: "false", required: true });
  const method = h("select", { id: "method" }, ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"].map((m) => h("option", null, m)));
  const header = h("input", { id: "header", type: "text", placeholder: "Name: value (optional)", autocomplete: "off", spellcheck: "false" });
  const answer = h("div", { "aria-live": "polite" }), lost = h("div");
  [url.value, method.value, header.value] = [question.url, question.method, question.header];
  const form = h("form", { class: "tools" }, h("div", { class: "field" }, h("label", { for: "url" }, "URL"), url), h("div", { class: "field small" }, h("label", { for: "method" }, "Method"), method),
    h("div", { class: "field" }, h("label", { for: "header" }, "Header"), header), h("button", { type: "submit", class: "primary" }, "Explain"));
  const show = (e) => put(answer, card(null, null, h("div", { class: "head" },
    h("h2", null, e.winner ? ["Taken by ", link(e.winner.app)] : "Nothing takes it"), e.answer && tag(e.answer, e.winner ? "warn" : "bad")),
    h("dl", { class: "facts" }, h("dt", null, "Matched as"), h("dd", null, h("code", null, e.host + e.path)),
      e.winner && [h("dt", null, "Claim"), h("dd", null, h("code", null, e.winner.claim)), h("dt", null, "Because"), h("dd", null, e.winner.reason), h("dt", null, "Source"), h("dd", null, e.winner.source || "–")],
      e.backend && [h("dt", null, "Backend"), h("dd", null, e.backend)], e.peer && [h("dt", null, "Peer"), h("dd", null, e.peer)],
      e.steps.length > 0 && [h("dt", null, "On the way"), h("dd", null, h("ol", { class: "steps" }, e.steps.map((x) => h("li", null, x))))]),
    e.losers.length > 0 && [h("h3", null, "Who else could have taken it"), table("Who else could have taken it", ["Application", "Claim", "Why not"], e.losers.map((l) => [link(l.app), h("code", null, l.claim), l.reason]))]));
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    question = { url: url.value, method: method.value, header: header.value };
    let text = url.value.trim();
    if (!/^[a-z]+:\/\//i.test(text)) text = "https://" + text;
    const query = new URLSearchParams({ url: text, method: method.value });
    if (header.value.trim()) query.append("header", header.value);
    try { show(await ask("api/v1/explain?" + query)); } catch (e) { put(answer, card(null, null, h("p", { class: "bad" }, e.message))); }
  });
  const conflicts = async () => {
    try {
      const list = (await ask("api/v1/conflicts")).conflicts;
      keep(lost, () => put(lost, list.length === 0 ? h("p", { class: "ok" }, "None: every frontend is served.") : table("Conflicts", ["Claim", "Not served", "Served instead", "Reason"], list.slice(0, 500).map((c) => [
        h("code", null, c.claim), [link(c.app), h("span", { class: "dim" }, " frontends[" + c.frontend + "], " + c.source)],
        c.winner ? [link(c.winner), h("span", { class: "dim" }, " frontends[" + c.winner_frontend + "], " + c.winner_source)] : "–", c.reason || "the same claim"]))));
    } catch (e) { put(lost, h("p", { class: "bad" }, e.message)); }
  };
  return {
    title: "Routes", el: [h("h1", null, "Routes"), card("Where does a request go?", null, form), answer, card("Conflicts", null, lost)],
    update: (what) => { if (what.has("all") || what.has("hello") || what.has("change")) conflicts(); },
  };
};
