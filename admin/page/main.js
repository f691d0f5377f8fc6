// Links are relative, so the page must be below a path that ends in a slash.
if (!location.pathname.endsWith("/")) {
  const whole = new URL(location);
  whole.pathname += "/";
  location.replace(whole);
}

let view = null;
const views = { "": overviewView, apps: appsView, routes: routesView, nodes: nodesView, certs: certsView, events: eventsView };
const route = (first) => {
  const [, part = "", ...rest] = location.hash.split("/");
  let make = views[part] || overviewView;
  if (part === "apps" && rest.length > 0) {
    let id = rest.join("/");
    try { id = decodeURIComponent(id); } catch { /* as it is */ }
    make = () => appView(id);
  }
  if (view && view.end) view.end();
  view = make();
  document.title = view.title + " · edgerouter";
  put(byId("main"), view.el);
  byId("main").setAttribute("aria-label", view.title);
  for (const a of byId("tabs").querySelectorAll("a")) {
    if (a.hash === "#/" + (part in views ? part : "")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  view.update(new Set(["all"]));
  if (first === true) return;
  scrollTo(0, 0);
  byId("main").focus({ preventScroll: true });
};
const draw = (what) => {
  const o = store.overview, status = byId("status");
  status.className = !store.connected ? "bad" : !o ? "" : o.ready ? "ok" : "bad";
  setText(status, !store.connected ? "not connected, trying again" : !o ? "loading" : o.ready ? "live" : "not ready: " + o.reasons.join(", "));
  if (o) setText(byId("where"), [o.node, o.version, "generation " + o.generation].filter(Boolean).join(" · "));
  view.update(what);
};
addEventListener("hashchange", route);
byId("skip").addEventListener("click", (e) => { e.preventDefault(); byId("main").focus(); });
route(true);
follow();
