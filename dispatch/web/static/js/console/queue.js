/** The queue at the left: what needs a person first, each with its countdown; a list for the arrow keys. */

import { h, render } from "../dom.js";
import { countdown, currentLanguage, t, yuan } from "../i18n.js";
import { icon, typeIcon } from "../icons.js";
import { now } from "../clock.js";

export const FILTERS = ["all", "unassigned", "late", "carried"];
const ROWS = 150;

/** @param {import("./board.js").Board} board */
export function paintQueue(element, { board, view, foresight, onSelect, onFilter, onSearch, onHover, drag }) {
  const orders = board.queue(view);
  const counts = board.counts();
  const shown = orders.slice(0, ROWS);
  const step = (event) => {
    const index = shown.findIndex((order) => order.id === view.orderId);
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const order = shown[Math.max(0, Math.min(shown.length - 1, next))];
    if (order) onSelect(order.id);
  };
  render(
    element,
    h(
      "div",
      { class: "panel-head" },
      h("h2", {}, t("console.queue")),
      h(
        "label",
        { class: "search" },
        icon("search"),
        h("input", {
          id: "queue-search",
          type: "search",
          placeholder: t("console.search"),
          "aria-label": t("console.search"),
          value: view.text,
          oninput: (event) => onSearch(event.target.value),
        }),
      ),
    ),
    h(
      "div",
      { class: "chips", role: "group", "aria-label": t("console.filter") },
      FILTERS.map((filter) =>
        h(
          "button",
          {
            type: "button",
            class: `chip is-${filter}`,
            "aria-pressed": String(view.filter === filter),
            onclick: () => onFilter(filter),
          },
          t(`console.filter.${filter}`),
          h("b", {}, counts[filter]),
        ),
      ),
    ),
    h(
      "ol",
      {
        class: "queue",
        role: "listbox",
        tabindex: "0",
        id: "queue-list",
        "aria-label": t("console.queue"),
        "aria-activedescendant": view.orderId ? `row-${view.orderId}` : null,
        onkeydown: step,
        onmouseleave: () => onHover(null),
      },
      shown.map((order) => row(order, { board, view, foresight, onSelect, onHover, drag })),
      !shown.length &&
        h(
          "li",
          { class: "empty", key: "empty", role: "presentation" },
          board.isLoaded ? t(`console.empty.${view.filter}`) : t("console.loading"),
        ),
      orders.length > ROWS &&
        h("li", { class: "empty", key: "more", role: "presentation" }, t("console.more", { n: orders.length - ROWS })),
    ),
  );
}

/** The machine's own state, so that people touch only what it failed at. @param {any} [foreseen] by its last plan */
export function machineState(order, foreseen = null) {
  if (order.status !== "open") return `status.${order.status}`;
  if (foreseen?.runner_id && (order.dispatch?.state ?? "waiting") === "waiting") return "dispatch.state.planned";
  if (order.dispatch && order.dispatch.state !== "offered") return `dispatch.state.${order.dispatch.state}`;
  return order.task_status === "offered" ? "task.offered" : "task.waiting";
}

/** Where an order's runner is, when it is somewhere that matters. */
export function nearText({ near }) {
  return t(`near.${near.role}.${near.state}`);
}

/** What the countdown counts. @param {import("./board.js").Board} board */
export function slackWord(board, order) {
  return board.isLate(order) ? "console.late" : board.willBeLate(order) ? "console.will_be_late" : "console.slack";
}

/** How long, and why nobody has it yet or who is foreseen. */
function waits(order, foresight, minutes) {
  const since = t("console.waits_since", { n: minutes });
  const why = foresight.text(order);
  return h("span", { class: "row-why", title: why }, why ? `${since} · ${why}` : since);
}

function row(order, { board, view, foresight, onSelect, onHover, drag }) {
  const slack = board.slackS(order);
  const isLate = board.isLate(order);
  const isDone = !board.isActive(order);
  const isWaiting = board.isWaiting(order);
  const isInTrouble = isLate || board.willBeLate(order);
  const tone = isInTrouble ? "late" : isWaiting ? "waiting" : isDone ? "done" : slack < 300 ? "soon" : "fine";
  const [from, to] = [order.stops[0], order.stops.at(-1)];
  const minutes = Math.max(0, Math.round((now() - order.placed_at_ms) / 60_000));
  return h(
    "li",
    {
      key: order.id,
      id: `row-${order.id}`,
      class: `row is-${tone}`,
      role: "option",
      draggable: isDone ? null : "true",
      "aria-selected": String(order.id === view.orderId),
      onclick: () => onSelect(order.id),
      onmouseenter: () => onHover(order.id),
      ondragstart: (event) => drag.begin(event, order),
      ondragend: () => drag.end(),
    },
    h("span", { class: "row-type", title: t(`type.${order.type_code}`) }, typeIcon(order.type_code)),
    h(
      "span",
      { class: "row-main" },
      h(
        "span",
        { class: "row-line" },
        h("b", { class: "code" }, order.code),
        h("span", { class: `pill is-${isWaiting ? "open" : order.status}` }, t(machineState(order, foresight.of(order)))),
        h("span", { class: "row-price" }, yuan(order.quote.service_fen)),
      ),
      h(
        "span",
        { class: "row-way", lang: currentLanguage() === "en" ? "zh-CN" : null },
        from ? from.label : t(`type.${order.type_code}`),
        order.stops.length > 1 && [icon("next"), to.label],
      ),
      h(
        "span",
        { class: "row-foot muted" },
        order.runner
          ? [icon("user"), board.runnerName(order), order.near && ` · ${nearText(order)}`]
          : waits(order, foresight, minutes),
      ),
    ),
    h(
      "span",
      { class: "row-slack" },
      isDone ? icon("check") : h("b", {}, countdown(slack)),
      h("small", {}, isDone ? t("status.delivered") : t(slackWord(board, order))),
    ),
  );
}
