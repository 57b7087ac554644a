/** The parts of the money view: figures, channels, alarms, items, runs and cases, each in words. */

import { h } from "../dom.js";
import { clockTime, codeText, dayAndTime, pick, t, yuan } from "../i18n.js";
import { icon } from "../icons.js";

/** @param {any} overview */
export function figures({ today, quiet_min: quietMin, is_quiet: isQuiet, last_paid_at_ms: lastMs }) {
  const figure = (name, value, tone = "") =>
    h("div", { class: tone, key: name }, h("dt", {}, t(`money.today.${name}`)), h("dd", {}, value));
  return h(
    "dl",
    { class: "money-figures" },
    figure("orders", today.orders),
    ["held", "captured", "released", "refunded"].map((name) => figure(name, yuan(today[`${name}_fen`]))),
    figure("quiet", quietMin === null ? "–" : t("unit.min", { n: quietMin }), isQuiet ? "is-quiet" : ""),
    figure("last", clockTime(lastMs)),
  );
}

export function channelList(channels) {
  return h(
    "ul",
    { class: "money-list", "aria-label": t("money.channels") },
    channels.map((channel) => {
      const isGood = channel.is_available && !channel.problems.length;
      return h(
        "li",
        { key: channel.code, class: `money-card ${isGood ? "is-good" : "is-alarm"}`, "data-channel": channel.code },
        icon(isGood ? "check" : "warning"),
        h(
          "div",
          {},
          h("b", {}, pick(channel, "name")),
          h(
            "p",
            { class: "muted small" },
            t(channel.is_available ? "money.channel.available" : "money.channel.away"),
            channel.passed_over.map((name) => ` · ${t("money.channel.passed_over", { name: step(name) })}`),
            channel.problems.map((kind) => ` · ${t(`money.problem.${kind}`)}`),
            ` · ${t("money.channel.day", { n: channel.payments_24h, ghosts: channel.ghosts_24h })}`,
            channel.refused_24h > 0 && ` · ${t("money.channel.refused", { n: channel.refused_24h })}`,
          ),
        ),
      );
    }),
  );
}

const step = (name) => codeText("money.step", name, name);

export function alarmList(alarms) {
  return h(
    "ul",
    { class: "money-list" },
    alarms.map((alarm) =>
      h(
        "li",
        { key: alarm.id, class: "money-card is-alarm", "data-alarm": alarm.kind },
        icon("warning"),
        h(
          "div",
          {},
          h("b", {}, pick(alarm, "text")),
          h("p", {}, pick(alarm, "advice")),
          h(
            "p",
            { class: "muted small" },
            t("money.since", { at: dayAndTime(alarm.opened_at_ms) }),
            alarm.is_everywhere && ` · ${t("money.everywhere")}`,
          ),
        ),
      ),
    ),
    !alarms.length && h("li", { class: "empty", key: "none" }, icon("check"), t("money.no_alarm")),
  );
}

/** @param {{onTake: Function | null, onClose: Function | null, onOrder: Function}} acts */
export function itemList(items, { onTake, onClose, onOrder }, none = t("money.no_item")) {
  return h(
    "ul",
    { class: "money-list" },
    items.map((item) =>
      h(
        "li",
        { key: item.id, class: `money-card is-${item.state}`, "data-item": item.id },
        icon("swap"),
        h(
          "div",
          {},
          h("b", {}, t(`money.kind.${item.kind}`)),
          h("p", {}, t("money.sides", { ours: yuan(item.ours_fen), theirs: yuan(item.theirs_fen) })),
          h("p", {}, codeText("money.cause", item.cause), " ", t(`money.repair.${item.repair}`)),
          h("p", { class: "muted" }, itemState(item)),
          h(
            "p",
            { class: "muted small" },
            `${item.day} · ${item.channel} · `,
            item.order_id
              ? h(
                  "button",
                  { type: "button", class: "link", onclick: () => onOrder(item.order_id) },
                  t("money.order", { code: item.order_id.slice(-6) }),
                )
              : t("money.no_order"),
          ),
          h("p", { class: "mono muted" }, item.number),
          itemActs(item, onTake, onClose),
        ),
      ),
    ),
    !items.length && h("li", { class: "empty", key: "none" }, icon("check"), none),
  );
}

function itemState(item) {
  const said = t(`money.state.${item.state}`, { who: item.handler_name });
  return item.reason ? `${said} · ${codeText("money.reason", item.reason)}` : said;
}

function itemActs(item, onTake, onClose) {
  const canTake = onTake && !item.is_mine && (item.state === "open" || item.state === "taken");
  const canClose = onClose && (item.state === "open" || item.is_mine);
  if (!canTake && !canClose) return null;
  const button = (name, label, run) =>
    h("button", { type: "button", class: "button small", onclick: run }, icon(name), label);
  return h(
    "div",
    { class: "actions" },
    canTake && button("user", t(item.state === "taken" ? "money.take_over" : "money.take"), () => onTake(item)),
    canClose && button("check", t("money.close"), () => onClose(item)),
  );
}

/**
 * Which day of which channel is to be reconciled: yesterday of the first, unless somebody says otherwise.
 * @param {any} overview
 * @param {{channel?: string, day?: string}} chosen what somebody said; kept here
 */
export function askRun({ channels, now_ms: nowMs }, chosen, onAsk) {
  const yesterday = new Date(nowMs - 86_400_000).toLocaleDateString("sv", { timeZone: "Asia/Shanghai" });
  const ask = (event) => {
    event.preventDefault();
    const { channel, day } = event.currentTarget.elements;
    if (day.value) onAsk(channel.value, day.value);
  };
  return h(
    "form",
    { class: "money-ask", key: "ask", id: "money-ask", onsubmit: ask },
    h(
      "select",
      {
        name: "channel",
        class: "input",
        "aria-label": t("money.column.channel"),
        value: chosen.channel ?? channels[0]?.code,
        onchange: ({ currentTarget }) => (chosen.channel = currentTarget.value),
      },
      channels.map((channel) => h("option", { value: channel.code, key: channel.code }, pick(channel, "name"))),
    ),
    h("input", {
      name: "day",
      type: "date",
      class: "input",
      required: true,
      max: yesterday,
      value: chosen.day ?? yesterday,
      onchange: ({ currentTarget }) => (chosen.day = currentTarget.value),
      "aria-label": t("money.column.day"),
    }),
    h("button", { type: "submit", class: "button small" }, icon("swap"), t("money.run_now")),
  );
}

/** How a run stands; one that found no bill says when it is tried again. */
function runState(run) {
  if (run.is_under_way) return h("span", { class: "pill is-taken" }, t("money.run.under_way"));
  return [
    h("span", { class: `pill is-${run.state}` }, t(`money.run.${run.state}`)),
    run.due_at_ms && h("span", { class: "muted small" }, ` ${t("money.run.next", { at: dayAndTime(run.due_at_ms) })}`),
  ];
}

export function runTable(runs, onChoose) {
  if (!runs.length) return h("p", { class: "muted" }, t("money.no_run"));
  const sum = (sums) => (sums ? yuan(sums.paid_fen) : "–");
  const columns = ["day", "channel", "state", "theirs", "ours", "found"];
  const isNumber = new Set(["theirs", "ours", "found"]);
  return h(
    "div",
    { class: "scroll-x", tabindex: "0", role: "group", "aria-label": t("money.runs") },
    h(
      "table",
      { class: "money-runs" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((name) =>
            h("th", { scope: "col", class: isNumber.has(name) ? "is-number" : "" }, t(`money.column.${name}`)),
          ),
        ),
      ),
      h(
        "tbody",
        {},
        runs.map((run) =>
          h(
            "tr",
            { key: run.id, "data-run": run.id },
            h("td", {}, h("button", { type: "button", class: "link", onclick: () => onChoose(run) }, run.day)),
            h("td", {}, run.channel),
            h("td", {}, runState(run)),
            h("td", { class: "is-number" }, sum(run.theirs)),
            h("td", { class: "is-number" }, sum(run.ours)),
            h("td", { class: "is-number" }, run.mismatches ?? "–"),
          ),
        ),
      ),
    ),
  );
}

export function refundList(refunds, onOrder) {
  return h(
    "ul",
    { class: "money-list" },
    refunds.map((refund) =>
      h(
        "li",
        { key: refund.id, class: `money-card ${refundTone(refund)}`, "data-refund": refund.id },
        icon(refund.is_overdue ? "warning" : "undo"),
        h(
          "div",
          {},
          h("b", {}, yuan(refund.amount_fen), " · ", t(`refund.state.${refund.state}`)),
          refund.is_overdue && h("p", {}, h("span", { class: "pill is-late" }, icon("warning"), t("refund.overdue"))),
          h("p", {}, refund.parts.map((part) => `${t(`refund.path.${part.path}`)} ${yuan(part.amount_fen)}`).join(" · ")),
          h(
            "p",
            { class: "muted small" },
            t("refund.asked", { at: dayAndTime(refund.asked_at_ms) }),
            " · ",
            refund.done_at_ms === null
              ? t("refund.due", { at: dayAndTime(refund.due_by_ms) })
              : t("refund.done", { at: dayAndTime(refund.done_at_ms) }),
            " · ",
            h(
              "button",
              { type: "button", class: "link", onclick: () => onOrder(refund.order_id) },
              t("money.order", { code: refund.order_id.slice(-6) }),
            ),
          ),
        ),
      ),
    ),
    !refunds.length && h("li", { class: "empty", key: "none" }, icon("check"), t("refund.none")),
  );
}

const refundTone = (refund) => (refund.is_overdue ? "is-alarm" : refund.done_at_ms === null ? "is-taken" : "is-good");

/** @param {{onReview: ((found: any, isReleased: boolean) => void) | null, onOrder: (orderId: string) => void}} acts */
export function caseList(cases, { onReview, onOrder }) {
  const button = (name, label, run) =>
    h("button", { type: "button", class: "button small", onclick: run }, icon(name), label);
  return h(
    "ul",
    { class: "money-list" },
    cases.map((found) =>
      h(
        "li",
        { key: found.id, class: `money-card is-${found.needs_review ? "open" : found.standing}`, "data-case": found.id },
        icon("shield"),
        h(
          "div",
          {},
          h(
            "b",
            {},
            t(`risk.kind.${found.kind}`, { who: found.account_name, amount: yuan(found.amount_fen) }),
          ),
          h("p", {}, found.objections.map((each) => codeText("risk.code", each.code)).join("；") || codeText("risk.code", found.code)),
          h(
            "p",
            { class: "muted small" },
            `${dayAndTime(found.at_ms)} · `,
            t(`risk.standing.${found.standing}`, { who: found.decided_by_name }),
            found.decided_because && ` · “${found.decided_because}”`,
          ),
          found.order_id &&
            h(
              "button",
              { type: "button", class: "link small", onclick: () => onOrder(found.order_id) },
              t("money.order", { code: found.order_id.slice(-6) }),
            ),
          found.standing === "open" &&
            onReview &&
            h(
              "div",
              { class: "actions" },
              button("check", t("risk.release"), () => onReview(found, true)),
              button("close", t("risk.refuse"), () => onReview(found, false)),
            ),
        ),
      ),
    ),
    !cases.length && h("li", { class: "empty", key: "none" }, icon("check"), t("risk.none")),
  );
}
