/** When the server cannot be reached: a friendly face instead of "ERROR 500", a retry by itself, and nothing lost. */

import { h, render } from "./dom.js";
import { onLanguage, t } from "./i18n.js";

const RETRY_AFTER_S = 60;
let screen = null;
let timer = 0;

/** @param {{error: any, isOutage: boolean, retry: () => Promise<void> | void, keepsOrder?: boolean}} options */
export function showFailure({ error, isOutage, retry }) {
  hideFailure();
  let left = RETRY_AFTER_S;
  screen = h("main", { class: "gate failure", role: "alert" });
  document.body.classList.add("is-gated");
  document.body.append(screen);
  const again = async () => {
    hideFailure();
    await retry();
  };
  const paint = () =>
    screen &&
    render(
      screen,
      h(
        "div",
        { class: "card gate-card failure-card" },
        auntie(),
        h("h1", {}, t(navigator.onLine ? "failure.title" : "failure.offline")),
        h("p", {}, t(isOutage ? "failure.text" : "failure.bug")),
        h("p", { class: "muted" }, t("failure.kept")),
        h("p", { class: "failure-count", "aria-hidden": "true" }, t("failure.again_in", { n: left })),
        h("button", { class: "button primary wide", onclick: again }, t("failure.again")),
        h("p", { class: "hint" }, error?.code ? `${error.status || ""} ${error.code}` : ""),
      ),
    );
  timer = setInterval(() => {
    left -= 1;
    if (left <= 0) again();
    else paint();
  }, 1000);
  addEventListener("online", again, { once: true });
  onLanguage(paint);
  paint();
}

export function hideFailure() {
  clearInterval(timer);
  screen?.remove();
  screen = null;
  document.body.classList.remove("is-gated");
}

/** The canteen auntie with her ladle: she ran out for a moment, she is cooking more. */
export function auntie() {
  const shape = (tag, props) => h(tag, props);
  return h(
    "svg",
    { class: "auntie", viewBox: "0 0 240 200", role: "img", "aria-label": t("failure.picture") },
    shape("ellipse", { cx: 120, cy: 186, rx: 96, ry: 8, class: "a-shadow" }),
    // apron and arms
    shape("path", { d: "M70 182c0-40 18-62 50-62s50 22 50 62z", class: "a-coat" }),
    shape("path", { d: "M92 182v-44q28 14 56 0v44z", class: "a-apron" }),
    shape("path", { d: "M104 160h32v12h-32z", class: "a-pocket" }),
    shape("path", { d: "M74 150q-24-4-30-26", class: "a-arm" }),
    shape("path", { d: "M166 150q22-2 28-34", class: "a-arm" }),
    // ladle in the right hand, with steam
    shape("path", { d: "M194 118L202 66", class: "a-ladle" }),
    shape("path", { d: "M188 58a14 9 0 0 0 28 2z", class: "a-bowl" }),
    shape("path", { d: "M196 48q-5-8 0-14M206 46q-5-8 0-14", class: "a-steam" }),
    shape("circle", { cx: 194, cy: 118, r: 8, class: "a-skin" }),
    shape("circle", { cx: 43, cy: 122, r: 8, class: "a-skin" }),
    // a sign in the left hand
    shape("rect", { x: 12, y: 66, width: 62, height: 44, rx: 7, class: "a-sign" }),
    shape("path", { d: "M43 110v14", class: "a-ladle" }),
    shape("circle", { cx: 43, cy: 88, r: 13, class: "a-dial" }),
    shape("path", { d: "M43 80v8l6 4", class: "a-hand" }),
    // head: hair, face, cap
    shape("circle", { cx: 120, cy: 86, r: 39, class: "a-hair" }),
    shape("circle", { cx: 120, cy: 92, r: 33, class: "a-skin" }),
    shape("path", { d: "M84 78q-8-40 36-42 44 2 36 42-36-16-72 0z", class: "a-cap" }),
    shape("path", { d: "M84 78q36-16 72 0", class: "a-band" }),
    shape("circle", { cx: 108, cy: 92, r: 3.2, class: "a-ink" }),
    shape("circle", { cx: 132, cy: 92, r: 3.2, class: "a-ink" }),
    shape("path", { d: "M103 84q5-4 10-1M127 83q5-3 10 1", class: "a-brow" }),
    shape("circle", { cx: 100, cy: 102, r: 6, class: "a-cheek" }),
    shape("circle", { cx: 140, cy: 102, r: 6, class: "a-cheek" }),
    shape("path", { d: "M110 107q10 9 20 0", class: "a-smile" }),
  );
}
