/** Setting and changing the password: asked in a dialog that every page's account menu opens. */

import { ApiError } from "./api.js";
import { h, render } from "./dom.js";
import { codeText, read, remember, t } from "./i18n.js";
import { icon } from "./icons.js";
import { ask, toast } from "./shell.js";

const SHORTEST = 8;
const LONGEST = 200;

const flag = (accountId) => `dispatch.password.${accountId}`;

/** This account has a password: the dialog asks for it at once, and no try is counted against its owner. */
export function rememberPassword(accountId) {
  remember(flag(accountId), "1");
}

/** @param {import("./session.js").Session} session */
export async function changePassword(session) {
  const state = {
    asksOld: read(flag(session.account.id)) !== null,
    isShown: false,
    isBusy: false,
    error: "",
    old: "",
    fresh: "",
    again: "",
  };
  const done = await ask({
    title: t("password.title"),
    content: (close) => {
      const box = h("div", {});
      const paint = () => render(box, form(session, state, { paint, close, box }));
      paint();
      return box;
    },
  });
  if (done) toast(t(done), { kind: "good" });
}

function form(session, state, { paint, close, box }) {
  const submit = async (event) => {
    event.preventDefault();
    if (state.isBusy) return;
    state.error = fault(state);
    if (!state.error) {
      Object.assign(state, { isBusy: true });
      paint();
      try {
        return close(await send(session, state));
      } catch (error) {
        explain(state, error);
      }
      state.isBusy = false;
    }
    paint();
    box.querySelector(state.asksOld && !state.old ? "#old-password" : "#new-password")?.focus();
  };
  return h(
    "form",
    { novalidate: true, onsubmit: submit },
    // Tells a password manager whose password this is.
    h("input", {
      hidden: true,
      type: "text",
      autocomplete: "username",
      value: session.account.phone,
    }),
    state.asksOld && secret(state, "old", "current-password", "old-password"),
    secret(state, "fresh", "new-password", "new-password", t("password.hint", { n: SHORTEST })),
    secret(state, "again", "new-password", "new-password-again"),
    h(
      "label",
      { class: "switch" },
      h("input", {
        type: "checkbox",
        checked: state.isShown,
        onchange: (event) => ((state.isShown = event.target.checked), paint()),
      }),
      h("span", {}, t("password.show")),
    ),
    state.asksOld && h("p", { class: "note" }, icon("info"), t("password.ends_sessions")),
    h("p", { class: "form-error", role: "alert", hidden: !state.error }, state.error),
    h(
      "button",
      { class: "button primary wide", disabled: state.isBusy },
      t(state.asksOld ? "password.change" : "password.set"),
    ),
  );
}

function secret(state, name, autocomplete, id, hint = null) {
  return h(
    "label",
    { class: "field", key: name },
    h("span", {}, t(`password.${name}`)),
    h("input", {
      id,
      type: state.isShown ? "text" : "password",
      autocomplete,
      autofocus: id === (state.asksOld ? "old-password" : "new-password"),
      maxlength: LONGEST,
      value: state[name],
      oninput: (event) => (state[name] = event.target.value),
    }),
    hint && h("small", { class: "hint" }, hint),
  );
}

/** What is wrong before anything is sent. */
function fault(state) {
  if (state.asksOld && !state.old) return t("password.old_missing");
  if (state.fresh.length < SHORTEST) return t("password.hint", { n: SHORTEST });
  if (state.fresh !== state.again) return t("password.differ");
  return "";
}

function explain(state, error) {
  if (!(error instanceof ApiError)) {
    state.error = String(error);
  } else if (error.field === "old_password") {
    state.error = t(state.asksOld ? "password.old_wrong" : "password.old_missing");
    Object.assign(state, { asksOld: true, old: "" });
  } else {
    state.error = codeText("error", error.code, error.message);
  }
}

/** Returns the words to say. A changed password ends every session, this one too: it begins anew with the new one. */
async function send({ api, live, account }, { asksOld, old, fresh }) {
  if (!asksOld) {
    await api.post("/auth/password", { new_password: fresh });
    rememberPassword(account.id);
    return "password.is_set";
  }
  const { onSignedOut } = api;
  // Between its two sessions this page belongs to nobody, and must not take that for a sign-out.
  api.onSignedOut = () => {};
  live.stop();
  try {
    await api.post("/auth/password", { new_password: fresh, old_password: old });
    rememberPassword(account.id);
    const { phone, campus_id } = account;
    const again = { phone, campus_id, password: fresh, use_cookies: true };
    await api.post("/auth/sign-in", again).then((session) => api.adopt(session), onSignedOut);
  } finally {
    api.onSignedOut = onSignedOut;
    live.start();
  }
  return "password.is_changed";
}
