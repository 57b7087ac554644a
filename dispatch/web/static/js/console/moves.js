/** By how much promises move when an order changes hands: a list in words, and what is said back when it is done. */

import { h } from "../dom.js";
import { clockTime, countdown, duration, t } from "../i18n.js";
import { icon } from "../icons.js";

/** @typedef {{order_id: string, code: string, runner_id: string, seconds: number, done_at_ms: number, promised_at_ms: number, late_s: number, was_late_s: number}} Move */

/** All that moves if this option is taken. @param {any} view ReassignOptionsView @param {any} option null: taken away */
export function movesOf(view, option) {
  return [...(option?.moves ?? []), ...(view?.released ?? [])];
}

/** What the operator has seen, for the server to compare. @param {Move[]} moves */
export function seenOf(moves) {
  return moves.map(({ order_id, seconds, late_s }) => ({ order_id, seconds, is_late: late_s > 0 }));
}

/** In a few words for a row. @param {Move[]} moves */
export function movesSummary(moves) {
  const late = moves.filter((move) => move.late_s > 0).length;
  if (!moves.length) return t("moves.none");
  return t(late ? "moves.summary_late" : "moves.summary", { n: moves.length, late });
}

/**
 * @param {{view: any, option: any, nameOf: (runnerId: string) => string}} parts
 */
export function movesList({ view, option, nameOf }) {
  const moves = movesOf(view, option);
  const byRunner = [...new Set(moves.map((move) => move.runner_id))];
  return h(
    "section",
    { class: "moves", key: "moves", "aria-label": t("moves.title") },
    h("h4", {}, t("moves.title")),
    option &&
      h(
        "p",
        { class: "move is-own" },
        h("span", { class: "code" }, t("moves.own")),
        h("span", { class: "grow" }, clockTime(option.arrive_at_ms)),
        verdict(option.late_s, 0),
      ),
    !moves.length && h("p", { class: "muted" }, t("moves.none")),
    byRunner.map((runnerId) => [
      h("h5", { key: `of-${runnerId}` }, t("moves.of", { name: nameOf(runnerId) })),
      h(
        "ul",
        { key: `moves-${runnerId}` },
        moves
          .filter((move) => move.runner_id === runnerId)
          .map((move) =>
            h(
              "li",
              { class: "move", key: move.order_id, "data-order": move.order_id },
              h("span", { class: "code" }, move.code),
              h("b", { class: move.seconds > 0 ? "is-later" : "is-sooner" }, signed(move.seconds)),
              h("span", { class: "grow muted" }, clockTime(move.done_at_ms)),
              verdict(move.late_s, move.was_late_s),
            ),
          ),
      ),
    ]),
  );
}

function verdict(lateS, wasLateS) {
  if (lateS > 0) return h("span", { class: "verdict is-late" }, icon("warning"), t("moves.late", { age: duration(lateS) }));
  return h("span", { class: "verdict" }, t(wasLateS > 0 ? "moves.saved" : "moves.in_time"));
}

/** Exact to the second while that is short. */
function signed(seconds) {
  const s = Math.abs(seconds);
  const age = s < 180 ? t("unit.s", { n: s }) : countdown(s);
  return t("moves.by", { sign: seconds < 0 ? "−" : "+", age });
}
