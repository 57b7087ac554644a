/** What all pages share around their content: top bar, look (language, theme, text size), toasts, dialogs, refusals. */

import { h, render, $ } from "./dom.js";
import { codeText, currentLanguage, onLanguage, remember, setLanguage, t } from "./i18n.js";
import { icon, mark } from "./icons.js";
import { FRESH_S, staleness } from "./live/staleness.js";
import { changePassword } from "./password.js";

const THEME = "dispatch.theme";
const TEXT = "dispatch.text";

/** Tell `look.js` that a choice has changed. */
function applyLook() {
  dispatchEvent(new Event("look"));
}

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function iconButton(name, label, onclick, props = {}) {
  return h(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props },
    icon(name),
  );
}

/** Language, theme and text size. */
export function lookButtons() {
  const isLarge = document.documentElement.dataset.text === "large";
  const other = currentLanguage() === "en" ? "zh-CN" : "en";
  return h(
    "div",
    { class: "look", role: "group", "aria-label": t("look.label") },
    h(
      "button",
      {
        type: "button",
        class: "icon-button language",
        lang: other,
        "aria-label": t("look.language"),
        title: t("look.language"),
        onclick: () => setLanguage(other),
      },
      other === "en" ? "EN" : "中",
    ),
    iconButton(isDark() ? "sun" : "moon", t(isDark() ? "look.light" : "look.dark"), () => {
      remember(THEME, isDark() ? "light" : "dark");
      applyLook();
      setLanguage(currentLanguage());
    }),
    iconButton(
      "text",
      t("look.large"),
      () => {
        remember(TEXT, isLarge ? null : "large");
        applyLook();
        setLanguage(currentLanguage());
      },
      { "aria-pressed": String(isLarge) },
    ),
  );
}

/**
 * Fold the menus of the top bar.
 * @param {Node} [but] leave the one that this lies in
 * @returns {HTMLDetailsElement | null} one that stood open
 */
function closeMenus(but) {
  let closed = null;
  for (const menu of /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll(".top .menu[open]"))) {
    if (but && menu.contains(but)) continue;
    menu.open = false;
    closed = menu;
  }
  return closed;
}

/** The connection in words, never silently stale. @param {import("./live.js").Live} live */
export function connectionChip(live) {
  const wait = Math.max(0, Math.ceil((live.retryAt - performance.now()) / 1000));
  const isQuiet = live.state === "live" && (live.silentS ?? 0) >= FRESH_S;
  return h(
    "button",
    {
      type: "button",
      class: `connection is-${live.state} ${isQuiet ? "is-quiet" : ""}`,
      title: [live.state === "waiting" && t("live.retry_in", { n: wait }), t("live.hint")].filter(Boolean).join(" · "),
      onclick: () => live.hurry(),
    },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", {}, staleness(live)),
  );
}

/**
 * @param {object} options
 * @param {string} options.page
 * @param {import("./session.js").Session} options.session
 * @param {() => any} [options.middle] what stands between the name and the buttons
 * @param {() => any} [options.extra] further buttons
 * @returns {() => void} paints it again
 */
export function topBar({ page, session, middle, extra }) {
  const bar = $("#top");
  const { live, account, campus, api } = session;
  const leave = async () => {
    live.stop();
    await api.post("/auth/sign-out").catch(() => null);
    location.reload();
  };
  const askForPassword = async () => {
    closeMenus();
    await changePassword(session);
    $("#account-menu summary").focus();
  };
  const spoken = $("#spoken");
  let lastState = live.state;
  const paint = () => {
    if (live.state !== lastState) {
      lastState = live.state;
      spoken.textContent = t(`live.${live.state}`);
    }
    render(
      bar,
      h(
        "a",
        { class: "brand", href: "/", title: t("nav.home") },
        mark(),
        h("span", { class: "brand-text" }, h("b", {}, t(`page.${page}`)), h("small", {}, campus.name)),
      ),
      h("div", { class: "top-middle" }, middle?.()),
      h(
        "div",
        { class: "top-end" },
        connectionChip(live),
        extra?.(),
        lookButtons(),
        h(
          "details",
          { class: "menu", id: "account-menu" },
          h("summary", { class: "icon-button", "aria-label": t("nav.account"), title: account.name }, icon("user")),
          h(
            "div",
            { class: "menu-card card" },
            h("b", {}, account.name),
            h("p", { class: "muted" }, account.phone),
            lookButtons(),
            h(
              "button",
              { type: "button", class: "button quiet wide", id: "change-password", onclick: askForPassword },
              icon("key"),
              t("password.menu"),
            ),
            h(
              "button",
              { type: "button", class: "button quiet wide", onclick: leave },
              icon("exit"),
              t("nav.sign_out"),
            ),
          ),
        ),
      ),
    );
  };
  document.addEventListener("pointerdown", (event) => closeMenus(/** @type {Node} */ (event.target)));
  bar.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" ? closeMenus() : null;
    if (!menu) return;
    event.stopPropagation();
    menu.querySelector("summary").focus();
  });
  live.watch(paint);
  onLanguage(paint);
  setInterval(paint, 500);
  return paint;
}

// --- toasts ----------------------------------------------------------------------------------------------------------

/**
 * A short message; returns a function that takes it away.
 * @param {string} text
 * @param {{kind?: "info" | "good" | "bad", seconds?: number, action?: {label: string, run: () => void}}} [options]
 */
export function toast(text, { kind = "info", seconds = 6, action } = {}) {
  const left = h("span", { class: "toast-left", "aria-hidden": "true" });
  const box = h(
    "div",
    { class: `toast is-${kind}` },
    icon(kind === "good" ? "check" : kind === "bad" ? "warning" : "info"),
    h("span", { class: "grow" }, text),
    action &&
      h(
        "button",
        {
          type: "button",
          class: "button small",
          onclick: () => (close(), action.run()),
        },
        action.label,
        left,
      ),
    h(
      "button",
      { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => close() },
      icon("close"),
    ),
  );
  const endsAt = performance.now() + seconds * 1000;
  const tick = setInterval(() => {
    const rest = Math.ceil((endsAt - performance.now()) / 1000);
    if (action) left.textContent = ` ${rest}`;
    if (rest <= 0) close();
  }, 250);
  function close() {
    clearInterval(tick);
    box.remove();
  }
  $("#toasts").append(box);
  while ($("#toasts").children.length > 4) $("#toasts").firstElementChild?.remove();
  return close;
}

/** Say what the server refused. @param {any} error */
export function toastError(error) {
  const general = error?.code ? codeText("error", error.code, error.message) : String(error?.message ?? error);
  // Where the server says more closely why, and there are words for it, they are the better ones.
  const text = error?.code ? codeText(`error.${error.code}`, error.detail?.reason, general) : general;
  // Which field it was helps where the page did not foresee the mistake.
  const field = error?.code === "invalid_input" && error.field ? ` (${error.field})` : "";
  toast(text + field, { kind: "bad", seconds: 8 });
}

// --- dialogs ---------------------------------------------------------------------------------------------------------

/**
 * A modal question; resolves with what `content`'s `close(value)` was given, null when dismissed.
 * @param {{title: string, content: (close: (value: any) => void) => any}} options
 * @returns {Promise<any>}
 */
export function ask({ title, content }) {
  return new Promise((resolve) => {
    const close = (value) => {
      dialog.close();
      dialog.remove();
      resolve(value);
    };
    const dialog = h(
      "dialog",
      { class: "card dialog", "aria-label": title, oncancel: () => close(null) },
      h(
        "div",
        { class: "dialog-head" },
        h("h2", {}, title),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => close(null) },
          icon("close"),
        ),
      ),
      content(close),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** The page is not for this account: say which permission is missing and what can be done. */
export function showForbidden({ api, account, needs, slot, retry }) {
  const screen = h("main", { class: "gate" });
  document.body.classList.add("is-gated");
  $("#app").before(screen);
  const leave = async () => {
    await api.post("/auth/sign-out").catch(() => null);
    location.reload();
  };
  const apply = async () => {
    try {
      account = await api.post("/me/runner-application");
      paint();
    } catch (error) {
      toastError(error);
    }
  };
  const check = () => {
    screen.remove();
    document.body.classList.remove("is-gated");
    retry();
  };
  // Whoever was removed can read why, and appeal.
  let credit = null;
  if (slot === "runner" && account.runner_status === "removed") {
    import("./runner/credit.js").then(({ OwnCredit }) => {
      credit = new OwnCredit({ api, paint: () => paint() });
      credit.load();
    });
  }
  const paint = () => {
    const isApplicant = slot === "runner" && account.runner_status === "none";
    const hasApplied = slot === "runner" && account.runner_status === "applied";
    render(
      screen,
      h("div", { class: "gate-corner" }, lookButtons()),
      h(
        "div",
        { class: "card gate-card" },
        h(
          "div",
          { class: "gate-head" },
          mark(),
          h("div", {}, h("h1", {}, t("forbidden.title")), h("p", { class: "muted" }, account.name)),
        ),
        h("p", {}, t("forbidden.text", { permission: needs })),
        hasApplied && h("p", { class: "note" }, icon("clock"), t("forbidden.applied")),
        isApplicant &&
          h("button", { type: "button", class: "button primary wide", onclick: apply }, t("forbidden.apply")),
        hasApplied &&
          h("button", { type: "button", class: "button primary wide", onclick: check }, t("forbidden.check")),
        credit && h("div", { class: "stack" }, credit.view()),
        h("button", { type: "button", class: "button wide", onclick: leave }, t("forbidden.other_account")),
        h("a", { class: "button quiet wide", href: "/" }, t("nav.home")),
      ),
    );
  };
  onLanguage(() => screen.isConnected && paint());
  paint();
}
