/** Breaks, and why no offers come: said beside the duty switch, with the one button that changes it. */

import { h } from "../dom.js";
import { now } from "../clock.js";
import { clockTime, codeText, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, toastError } from "../shell.js";

const MINUTES = [10, 20, 30, 60, 120];

/** @param {any} page the runner's page */
export function breakBar(page) {
  const { state } = page;
  if (!state.is_on_duty) return null;
  const until = state.break_until_ms && state.break_until_ms > now() ? state.break_until_ms : null;
  const rest = !until && state.cool_until_ms && state.cool_until_ms > now() ? state.cool_until_ms : null;
  const why = until
    ? t("break.until", { at: clockTime(until) })
    : rest
      ? t("break.rest", { at: clockTime(rest) })
      : state.excluded && state.excluded !== "cooling_down" && state.excluded !== "on_break"
        ? codeText("availability", state.excluded, state.excluded)
        : state.until_ms
          ? t("break.free_until", { at: clockTime(state.until_ms) })
          : null;
  return h(
    "section",
    { class: `break-bar ${until || state.excluded ? "is-away" : ""}`, key: "break", role: "status" },
    icon(until ? "moon" : "clock"),
    h("span", { class: "grow" }, why ?? t("break.none")),
    h(
      "button",
      {
        type: "button",
        class: "button small",
        id: "break",
        disabled: page.busyId === "break",
        onclick: () => (until ? take(page, null) : choose(page)),
      },
      t(until ? "break.end" : "break.take"),
    ),
  );
}

async function choose(page) {
  const minutes = await ask({
    title: t("break.title"),
    content: (close) =>
      h(
        "div",
        { class: "actions wrap" },
        MINUTES.map((one) =>
          h("button", { type: "button", class: "button", onclick: () => close(one) }, t("break.minutes", { n: one })),
        ),
      ),
  });
  if (minutes) await take(page, Math.round(now() + minutes * 60_000));
}

async function take(page, untilMs) {
  page.busyId = "break";
  page.paint();
  try {
    await page.api.post("/runner/break", { until_ms: untilMs });
  } catch (error) {
    toastError(error);
  }
  page.busyId = null;
  await page.refetch();
}
