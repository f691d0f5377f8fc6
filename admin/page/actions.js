// act asks once, and then calls the API. The token is asked for when it was not shown yet; it is
// kept in this variable alone.
let token = "";
const act = ({ title, text, more, yes, path, body, method = "POST" }) => new Promise((done) => {
  const dialog = byId("ask"), form = dialog.querySelector("form"), error = byId("ask-error"), field = byId("token");
  setText(byId("ask-title"), title);
  setText(byId("ask-text"), text);
  setText(byId("ask-yes"), yes);
  setText(error, "");
  put(byId("ask-more"), more);
  byId("ask-token").hidden = token !== "" || !store.hello || !store.hello.needs_token;
  field.value = "";
  const close = (value) => {
    form.onsubmit = byId("ask-no").onclick = dialog.oncancel = null;
    dialog.close();
    done(value);
  };
  byId("ask-no").onclick = () => close(null);
  dialog.oncancel = (e) => { e.preventDefault(); close(null); };
  form.onsubmit = async (e) => {
    e.preventDefault();
    if (field.value) token = field.value.trim();
    const headers = { "Content-Type": "application/json" };
    if (token) headers["X-Edgerouter-Token"] = token;
    byId("ask-yes").disabled = true;
    try {
      close(await read(await fetch(below(path), { method, headers, body: body && JSON.stringify(body) })));
    } catch (e) {
      if (e.status === 401) {
        token = "";
        byId("ask-token").hidden = false;
        field.focus();
      }
      setText(error, e.message);
    } finally {
      byId("ask-yes").disabled = false;
    }
  };
  dialog.showModal();
  (byId("ask-token").hidden ? byId("ask-no") : field).focus();
});
