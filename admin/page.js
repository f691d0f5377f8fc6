// Links are relative, so the page must be below a path that ends in a slash.
if (!location.pathname.endsWith("/")) location.replace(location.pathname + "/" + location.search);

// Every 5 seconds, while somebody looks, the page is fetched again and what changed is put in place.
const state = document.getElementById("live");
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = next.getElementById(part.id);
      if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
    }
    state.textContent = "up to date";
  } catch {
    state.textContent = "not reachable since " + (state.dataset.since ||= new Date().toLocaleTimeString());
    return;
  }
  delete state.dataset.since;
}
setInterval(refresh, 5000);
document.addEventListener("visibilitychange", refresh);
