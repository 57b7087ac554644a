/** Signing in: phone and code, or phone and password. */

import { ApiError } from "./api.js";
import { h, render, $ } from "./dom.js";
import { codeText, onLanguage, read, remember, t } from "./i18n.js";
import { mark } from "./icons.js";
import { rememberPassword } from "./password.js";
import { lookButtons } from "./shell.js";

const REMEMBERED_PHONE = "dispatch.phone";
const REMEMBERED_CAMPUS = "dispatch.campus";
const RESEND_AFTER_S = 60;

/** @param {{api: import("./api.js").Api, slot: string, onSignedIn: () => void}} options */
export async function askToSignIn({ api, slot, onSignedIn }) {
  const campuses = await api.get("/campuses");
  const state = {
    way: "code",
    phone: read(REMEMBERED_PHONE) ?? "",
    secret: "",
    error: "",
    isBusy: false,
    resendAt: 0,
    campus: campuses.find((campus) => campus.id === read(REMEMBERED_CAMPUS))?.id ?? campuses[0]?.id ?? "",
  };
  const screen = h("main", { class: "gate", id: "sign-in" });
  document.body.classList.add("is-gated");
  $("#app").before(screen);
  const ticking = setInterval(() => state.resendAt > 0 && paint(), 1000);

  const attempt = async (work) => {
    if (state.isBusy) return;
    Object.assign(state, { isBusy: true, error: "" });
    paint();
    try {
      await work();
    } catch (error) {
      state.error = error instanceof ApiError ? codeText("error", error.code, error.message) : String(error);
    }
    state.isBusy = false;
    paint();
  };

  const askCode = () =>
    attempt(async () => {
      await api.post("/auth/code", { phone: state.phone, campus_id: state.campus });
      state.resendAt = performance.now() + RESEND_AFTER_S * 1000;
      $("#sign-in-secret").focus();
    });

  const signIn = () =>
    attempt(async () => {
      const secret = state.way === "code" ? { code: state.secret } : { password: state.secret };
      const account = api.adopt(
        await api.post("/auth/sign-in", {
          phone: state.phone,
          campus_id: state.campus,
          use_cookies: true,
          ...secret,
        }),
      );
      if (state.way === "password") rememberPassword(account.id);
      remember(REMEMBERED_PHONE, state.phone);
      remember(REMEMBERED_CAMPUS, state.campus);
      clearInterval(ticking);
      screen.remove();
      document.body.classList.remove("is-gated");
      onSignedIn();
    });

  const paint = () => render(screen, form({ state, slot, campuses, askCode, signIn, paint }));
  onLanguage(() => screen.isConnected && paint());
  paint();
  $("#sign-in-phone").focus();
}

function form({ state, slot, campuses, askCode, signIn, paint }) {
  const isCode = state.way === "code";
  const wait = Math.ceil((state.resendAt - performance.now()) / 1000);
  const choose = (way) => {
    Object.assign(state, { way, secret: "", error: "" });
    paint();
  };
  return [
    h("div", { class: "gate-corner" }, lookButtons()),
    h(
      "form",
      { class: "card gate-card", novalidate: true, onsubmit: (event) => (event.preventDefault(), signIn()) },
      h(
        "div",
        { class: "gate-head" },
        mark(),
        h("div", {}, h("h1", {}, t(`page.${slot}`)), h("p", { class: "muted" }, t("sign_in.lead"))),
      ),
      campuses.length > 1 &&
        h(
          "label",
          { class: "field" },
          h("span", {}, t("sign_in.campus")),
          h(
            "select",
            { value: state.campus, onchange: (event) => (state.campus = event.target.value) },
            campuses.map((campus) => h("option", { value: campus.id }, campus.name)),
          ),
        ),
      h(
        "div",
        { class: "segmented", role: "radiogroup", "aria-label": t("sign_in.way") },
        ["code", "password"].map((way) =>
          h(
            "button",
            {
              type: "button",
              role: "radio",
              "aria-checked": String(state.way === way),
              onclick: () => choose(way),
            },
            t(`sign_in.by_${way}`),
          ),
        ),
      ),
      h(
        "label",
        { class: "field" },
        h("span", {}, t("sign_in.phone")),
        h("input", {
          id: "sign-in-phone",
          type: "tel",
          autocomplete: "tel",
          inputmode: "tel",
          required: true,
          value: state.phone,
          oninput: (event) => ((state.phone = event.target.value.replaceAll(/[\s-]/g, "")), paint()),
        }),
      ),
      h(
        "div",
        { class: "field-row" },
        h(
          "label",
          { class: "field grow" },
          h("span", {}, t(isCode ? "sign_in.code" : "sign_in.password")),
          h("input", {
            id: "sign-in-secret",
            key: state.way,
            type: isCode ? "text" : "password",
            value: state.secret,
            inputmode: isCode ? "numeric" : "text",
            autocomplete: isCode ? "one-time-code" : "current-password",
            maxlength: isCode ? 6 : 200,
            // A blank at the end of a password may be meant; around a code it came from copying.
            oninput: (event) => (state.secret = isCode ? event.target.value.trim() : event.target.value),
          }),
        ),
        isCode &&
          h(
            "button",
            {
              type: "button",
              class: "button quiet",
              disabled: wait > 0 || state.isBusy || !state.phone,
              onclick: askCode,
            },
            wait > 0 ? t("sign_in.resend_in", { n: wait }) : t("sign_in.send_code"),
          ),
      ),
      h("p", { class: "form-error", role: "alert", hidden: !state.error }, state.error),
      h("button", { class: "button primary wide", disabled: state.isBusy }, t("sign_in.go")),
      h("p", { class: "hint" }, t("sign_in.first_time")),
    ),
  ];
}
