// store is what the page knows, kept up by one stream of server-sent events: first everything,
// then what is different. A stream that breaks is opened again by the browser and starts anew.
const store = { hello: null, overview: null, rows: new Map(), traffic: new Map(), samples: [], changes: [], skew: 0, connected: false, order: null };
const asked = new Set(); // what has changed since the last frame was drawn
let drawing = false;
const changed = (what) => {
  asked.add(what);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const what = new Set(asked);
    asked.clear();
    draw(what);
  });
};
// Links are relative; what is fetched is too, but without a password that is in the page's address.
const below = (path) => location.origin + location.pathname + path;
const follow = () => {
  const stream = new EventSource(below("api/v1/live"));
  const on = (name, f) => stream.addEventListener(name, (e) => { f(JSON.parse(e.data)); changed(name); });
  const beat = (v) => { for (const t of v.traffic) t.requests || t.p99_ms ? store.traffic.set(t.id, t) : store.traffic.delete(t.id); };
  on("hello", (v) => {
    store.hello = v;
    store.skew = new Date(v.now) - Date.now();
    store.connected = true;
    store.samples = v.samples;
    store.changes = v.changes;
    store.rows = new Map();
    store.traffic = new Map();
    store.order = null;
  });
  on("overview", (v) => { store.overview = v; });
  on("rows", (v) => {
    for (const r of v.rows) store.rows.set(r.id, r);
    for (const id of v.gone || []) store.rows.delete(id);
    store.order = null;
  });
  on("traffic", beat);
  on("beat", (v) => {
    beat(v);
    store.samples.push(v.sample);
    if (store.samples.length > 150) store.samples.shift();
  });
  on("change", (v) => {
    store.changes.push(v);
    if (store.changes.length > 100) store.changes.shift();
  });
  stream.onerror = () => {
    store.connected = false;
    changed("lost");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000); // it was refused
  };
};
// ask gets JSON from the API; what went wrong is an Error with the node's words.
const ask = async (path) => {
  const answer = await fetch(below(path), { cache: "no-store" });
  return read(answer);
};
const read = async (answer) => {
  const text = await answer.text();
  let body = null;
  try { body = JSON.parse(text); } catch { /* not ours, or plain text */ }
  if (!answer.ok) {
    const e = new Error(body && body.error || text.slice(0, 200) || answer.statusText);
    e.status = answer.status;
    throw e;
  }
  return body;
};
