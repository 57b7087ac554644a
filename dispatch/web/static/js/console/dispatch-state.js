/** How an order that waits is doing, and keeping it for one runner. */

import { h } from "../dom.js";
import { now } from "../clock.js";
import { clockTime, codeText, duration, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, toast, toastError } from "../shell.js";

const MINUTES = [5, 15, 30, 60];

/** @param {any} order @param {import("./board.js").Board} board @param {any} api */
export function dispatchState(order, board, api) {
  const state = order.dispatch;
  if (!state || order.status !== "open") return null;
  const held = state.pinned_runner_id;
  const facts = [
    codeText("dispatch.step", state.step),
    t("dispatch.since", { age: duration(Math.max(0, (now() - state.since_ms) / 1000)) }),
    state.refusals ? t(state.refusals === 1 ? "dispatch.refusal" : "dispatch.refusals", { n: state.refusals }) : null,
    held ? t("dispatch.pinned", { who: nameOf(board, held), at: clockTime(state.pinned_until_ms) }) : null,
  ];
  return h(
    "section",
    { class: `dispatch-state is-${state.state}`, key: "dispatch", "data-step": state.step },
    icon(held ? "pin" : "search"),
    h("span", { class: "grow" }, facts.filter(Boolean).join(" · ")),
    held
      ? h("button", { type: "button", class: "button small", id: "release", onclick: () => release(order, api) }, t("hold.release"))
      : h("button", { type: "button", class: "button small", id: "hold", onclick: () => hold(order, board, api) }, t("hold.do")),
  );
}

function nameOf(board, runnerId) {
  return board.runners.get(runnerId)?.name ?? "?";
}

async function hold(order, board, api) {
  const draft = { runner_id: "", minutes: 15, reason: "" };
  const runners = [...board.runners.values()].filter((one) => one.is_on_duty);
  const isSure = await ask({
    title: t("hold.title"),
    content: (close) =>
      h(
        "form",
        { class: "stack", onsubmit: (event) => (event.preventDefault(), close(true)) },
        h("p", { class: "muted" }, t("hold.text")),
        h(
          "label",
          { class: "field" },
          h("span", {}, t("hold.do")),
          h(
            "select",
            { class: "input", name: "runner", required: true, onchange: (event) => (draft.runner_id = event.target.value) },
            h("option", { value: "" }, "–"),
            runners.map((one) =>
              h(
                "option",
                { value: one.id },
                one.excluded ? `${one.name} · ${codeText("availability", one.excluded, one.excluded)}` : one.name,
              ),
            ),
          ),
        ),
        h(
          "label",
          { class: "field" },
          h("span", {}, t("hold.minutes")),
          h(
            "select",
            { class: "input", value: "15", onchange: (event) => (draft.minutes = Number(event.target.value)) },
            MINUTES.map((one) => h("option", { value: String(one) }, one)),
          ),
        ),
        h(
          "label",
          { class: "field" },
          h("span", {}, t("hold.reason")),
          h("input", {
            class: "input",
            name: "reason",
            required: true,
            maxlength: 200,
            oninput: (event) => (draft.reason = event.target.value),
          }),
        ),
        h("button", { class: "button primary wide", id: "hold-sure" }, icon("check"), t("hold.title")),
      ),
  });
  if (!isSure || !draft.runner_id) return;
  try {
    await api.post(`/orders/${order.id}/hold`, { ...draft, version: order.version });
    toast(t("hold.done", { code: order.code, who: nameOf(board, draft.runner_id) }), { kind: "good" });
  } catch (error) {
    toastError(error);
  }
}

async function release(order, api) {
  try {
    await api.call("DELETE", `/orders/${order.id}/hold`);
    toast(t("hold.released", { code: order.code }), { kind: "good" });
  } catch (error) {
    toastError(error);
  }
}
