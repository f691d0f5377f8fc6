// Figures and times as people read them.
const number = (v) => v === 0 ? "0" : v < 10 ? String(+v.toPrecision(2)) : v < 10000 ? String(Math.round(v)) : Math.round(v / 1000) + " k";
const millis = (v) => v === 0 ? "–" : v < 1 ? v.toFixed(2) + " ms" : v < 1000 ? +v.toPrecision(3) + " ms" : (v / 1000).toFixed(2) + " s";
const plural = (n, one) => n + " " + one + (n === 1 ? "" : "s");
const when = (t) => new Date(t).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
// ago counts by the node's clock.
const ago = (t) => {
  if (!t) return "never";
  const sec = Math.max(0, (Date.now() + store.skew - new Date(t)) / 1000);
  if (sec < 60) return Math.floor(sec) + " s ago";
  if (sec < 5400) return Math.round(sec / 60) + " min ago";
  if (sec < 172800) return Math.round(sec / 3600) + " h ago";
  return Math.round(sec / 86400) + " days ago";
};
const levels = { up: "ok", ok: "ok", running: "ok", down: "bad", failing: "bad", broken: "bad", silent: "bad", unavailable: "bad" };
const level = (state) => levels[state] || "warn";
