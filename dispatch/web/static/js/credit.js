/** A runner's credit as it is shown: the score on its scale, what the level allows, what moves it, line by line. */

import { h } from "./dom.js";
import { codeText, dayAndTime, has, t, yuan } from "./i18n.js";
import { icon } from "./icons.js";
import { ask } from "./shell.js";

/** @typedef {import("./types.js").CreditView} CreditView */
/** @typedef {import("./types.js").CreditLine} CreditLine */

const LEVEL_ICONS = { good: "star", normal: "shield", warned: "warning", limited: "warning", removed: "warning" };

/** The level by its name and sign: never by colour alone. @param {string} level */
export function levelPill(level) {
  return h("span", { class: `pill level is-${level}` }, icon(LEVEL_ICONS[level] ?? "shield"), t(`credit.level.${level}`));
}

/** The score, its level and what that allows. @param {CreditView} view */
export function creditHead(view) {
  const own = view.levels.find((one) => one.level === view.level);
  const next = [...view.levels].reverse().find((one) => one.from_score > view.credit);
  return h(
    "section",
    { class: "credit-head", key: "credit-head" },
    h("div", { class: "credit-score" }, h("b", { id: "credit-score" }, view.credit), levelPill(view.level)),
    h("meter", {
      class: "credit-meter",
      min: 0,
      max: 100,
      low: 40,
      high: 60,
      optimum: 100,
      value: view.credit,
      "aria-label": t("credit.score_of", { n: view.credit }),
    }),
    h("p", {}, allowance(own)),
    next &&
      h(
        "p",
        { class: "muted small" },
        t("credit.to_next", { n: next.from_score - view.credit, level: t(`credit.level.${next.level}`) }),
      ),
    h("p", { class: "muted small" }, t("credit.acceptance", { n: view.acceptance_percent })),
  );
}

/** What a level allows, in words. */
function allowance(level) {
  if (!level) return "";
  if (!level.may_take) return t("credit.allows.nothing");
  return [
    t(level.max_tasks === 1 ? "credit.allows.one" : "credit.allows.tasks", { n: level.max_tasks }),
    level.most_value_fen !== null && t("credit.allows.value", { price: yuan(level.most_value_fen) }),
    level.hall_delay_s > 0 && t("credit.allows.wait", { n: level.hall_delay_s }),
  ]
    .filter(Boolean)
    .join(" ");
}

/** Why a line was written, in plain words. @param {CreditLine} line */
export function reasonText(line) {
  return t(`credit.reason.${line.reason}`, {
    ...line.facts,
    level: line.facts.level ? t(`credit.level.${line.facts.level}`) : "",
    why: line.facts.why ? codeText("reassign.reason", line.facts.why) : "",
  });
}

function points(delta) {
  return delta > 0 ? `+${delta}` : delta < 0 ? `−${-delta}` : "0";
}

/**
 * The history.
 * @param {CreditView} view
 * @param {{acts: (line: CreditLine) => any, onMore: () => void, onOrder?: (id: string) => void}} does
 */
export function creditLines(view, { acts, onMore, onOrder }) {
  return h(
    "section",
    { class: "credit-history", key: "credit-history" },
    h("h2", {}, t("credit.history")),
    h(
      "ol",
      { class: "credit-lines" },
      view.lines.map((line) => lineItem(line, acts(line), onOrder)),
      !view.lines.length && h("li", { class: "empty", key: "none" }, t("credit.none")),
    ),
    view.next_before !== null &&
      h("button", { type: "button", class: "button wide", key: "more", onclick: onMore }, t("credit.more")),
  );
}

function lineItem(line, acts, onOrder) {
  const code = line.order_id?.slice(-6);
  return h(
    "li",
    { key: line.id, class: `credit-line ${line.is_reversed ? "is-reversed" : ""}`, "data-line": line.id },
    h("b", { class: `credit-delta ${line.delta < 0 ? "is-minus" : line.delta > 0 ? "is-plus" : ""}` }, points(line.delta)),
    h(
      "div",
      { class: "grow" },
      h("p", {}, reasonText(line), line.is_reversed && h("em", {}, ` (${t("credit.was_reversed")})`)),
      line.note && h("p", { class: "credit-note" }, t("credit.said", { words: line.note })),
      h(
        "p",
        { class: "muted small" },
        `${dayAndTime(line.at_ms)} · ${t("credit.balance", { n: line.balance })}`,
        line.actor && ` · ${line.actor === "team" ? t("credit.team") : line.actor}`,
        code && " · ",
        code &&
          (onOrder
            ? h("button", { type: "button", class: "link", onclick: () => onOrder(line.order_id) }, code)
            : h("span", { class: "code" }, code)),
      ),
      line.appeal && appealBox(line.appeal),
      acts,
    ),
  );
}

function appealBox(appeal) {
  return h(
    "div",
    { class: `appeal is-${appeal.status}` },
    h("b", {}, t(`credit.appeal.${appeal.status}`)),
    h("p", {}, t("credit.said", { words: appeal.text })),
    appeal.answer && h("p", {}, t("credit.answered", { words: appeal.answer })),
  );
}

/** What brings points, and what costs them. @param {CreditView} view */
export function creditRules(view) {
  return h(
    "details",
    { class: "credit-rules", key: "credit-rules" },
    h("summary", {}, t("credit.rules")),
    h(
      "ul",
      {},
      view.rules.map((rule, index) =>
        h(
          "li",
          { key: `${rule.reason}-${index}` },
          h("b", { class: rule.delta < 0 ? "is-minus" : rule.delta > 0 ? "is-plus" : "" }, ruleDelta(rule)),
          h(
            "span",
            {},
            t(`credit.rule.${rule.reason}`, {
              ...rule.facts,
              why: rule.facts.why ? codeText("reassign.reason", rule.facts.why) : "",
            }),
            rule.daily !== null && h("small", { class: "muted" }, ` ${t("credit.daily", { n: rule.daily })}`),
          ),
        ),
      ),
    ),
    h(
      "ul",
      {},
      view.levels.map((level) =>
        h("li", { key: level.level }, h("b", {}, `≥ ${level.from_score}`), h("span", {}, levelPill(level.level), " ", allowance(level))),
      ),
    ),
  );
}

function ruleDelta(rule) {
  return rule.reason === "faded" ? "±1".replace("1", String(Math.abs(rule.delta))) : points(rule.delta);
}

/**
 * Words about a line, and what goes with them; null when somebody thinks better of it.
 * @param {{title: string, button: string, label?: string, rows?: number, most?: number, more?: any}} what
 */
export function askWords({ title, button, label = t("credit.why"), rows = 3, most = 300, more = [] }) {
  return ask({
    title,
    content: (close) =>
      h(
        "form",
        {
          onsubmit: (event) => {
            event.preventDefault();
            const fields = Object.fromEntries(new FormData(event.target));
            close({ ...fields, words: String(fields.words).trim() });
          },
        },
        more,
        h(
          "label",
          { class: "field" },
          h("span", {}, label),
          h("textarea", { class: "input", name: "words", rows, required: true, minlength: 3, maxlength: most }),
        ),
        h("button", { class: "button primary wide" }, button),
      ),
  });
}

/** What to say when it changes. @param {{credit: number, delta: number, reason: string, level: string, former_level: string}} data */
export function creditNews(data) {
  const key = `credit.news.${data.level}`;
  const isLevelNew = data.level !== data.former_level && has(key);
  const moved = t("credit.news", { points: points(data.delta), n: data.credit });
  return isLevelNew ? `${moved} ${t(key)}` : moved;
}
