/** Why this runner: every candidate of a decision with its terms in seconds, or the rule that excluded them. */

import { h } from "../dom.js";
import { clockTime, codeText, countdown, distance, duration, t } from "../i18n.js";
import { icon } from "../icons.js";

/** @param {any} why WhyView; null while it is fetched */
export function whyTable(why) {
  if (!why) return h("p", { class: "muted" }, t("console.loading"));
  const decisions = [...why.decisions].sort((a, b) => b.at_ms - a.at_ms);
  // A forced change has no candidates of its own: the last real choice is the one to read.
  const shown = decisions.find((decision) => decision.candidates.length) ?? decisions[0];
  return [
    why.waiting &&
      h("p", { class: "note is-waiting", role: "status" }, icon("clock"), codeText("waiting", why.waiting)),
    !decisions.length && !why.waiting && h("p", { class: "muted" }, t("why.none")),
    decisions.map((decision) =>
      h(
        "details",
        { key: decision.id, class: "decision", open: decision === shown },
        h(
          "summary",
          {},
          h("b", {}, t(`why.mode.${decision.mode}`)),
          " ",
          h(
            "span",
            { class: "muted" },
            clockTime(decision.at_ms, true),
            decision.regret_s > 0 ? ` · ${t("why.regret", { age: duration(decision.regret_s) })}` : "",
          ),
        ),
        decision.regret_s < 0 &&
          h("p", { class: "note" }, icon("swap"), t("why.gave_up", { age: duration(decision.regret_s) })),
        decision.mode === "forced" && decision.note && h("p", { class: "muted" }, codeText("reason", decision.note)),
        table(decision),
      ),
    ),
  ];
}

function table(decision) {
  const fit = decision.candidates.filter((candidate) => !candidate.excluded);
  const out = decision.candidates.filter((candidate) => candidate.excluded);
  // A term that is the same for everybody decided nothing, and the table is narrow.
  const names = [...new Set(fit.flatMap((candidate) => Object.keys(candidate.terms)))].filter((name) => {
    const values = new Set(fit.map((candidate) => Math.round(candidate.terms[name] ?? 0)));
    return values.size > 1 || (fit.length === 1 && !values.has(0));
  });
  const worst = Math.max(1, ...fit.map((candidate) => candidate.cost_s ?? 0));
  fit.sort((a, b) => Number(b.is_chosen) - Number(a.is_chosen) || (a.cost_s ?? 0) - (b.cost_s ?? 0));
  return [
    fit.length > 0 &&
      h(
        "div",
        { class: "scroll-x" },
        h(
          "table",
          { class: "why" },
          h("caption", { class: "sr-only" }, t("why.caption")),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "col" }, t("why.runner")),
              h("th", { scope: "col" }, t("why.cost")),
              h("th", { scope: "col" }, t("why.way")),
              names.map((name) => h("th", { scope: "col", key: name }, codeText("why.term", name))),
            ),
          ),
          h(
            "tbody",
            {},
            fit.map((candidate) =>
              h(
                "tr",
                { key: candidate.runner_id, class: candidate.is_chosen ? "is-chosen" : "" },
                h(
                  "th",
                  { scope: "row" },
                  candidate.is_chosen && icon("check"),
                  candidate.runner_name || candidate.runner_id.slice(-6),
                ),
                h("td", { class: "cost" }, bar((candidate.cost_s ?? 0) / worst), seconds(candidate.cost_s)),
                h("td", {}, distance(candidate.distance_m)),
                names.map((name) => h("td", { key: name }, seconds(candidate.terms[name]))),
              ),
            ),
          ),
        ),
      ),
    out.length > 0 &&
      h(
        "ul",
        { class: "excluded" },
        out.map((candidate) =>
          h(
            "li",
            { key: candidate.runner_id },
            h("b", {}, candidate.runner_name || candidate.runner_id.slice(-6)),
            " ",
            codeText("excluded", candidate.excluded),
          ),
        ),
      ),
    !fit.length && !out.length && decision.mode !== "forced" && h("p", { class: "muted" }, t("why.no_candidates")),
  ];
}

/** How the cost compares with the dearest candidate's. */
function bar(share) {
  return h("span", {
    class: "bar",
    "aria-hidden": "true",
    css: { "--share": Math.max(0, Math.min(1, share)).toFixed(3) },
  });
}

/** Minutes and seconds: the terms are times, and times of this length are read like that. */
function seconds(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) < 0.5 ? "0" : countdown(Math.round(value));
}
