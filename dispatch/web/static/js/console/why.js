/** Why this runner: the chosen beside the runner-up term by term, the best others, who was ruled out; and why not. */

import { h } from "../dom.js";
import { clockTime, codeText, countdown, distance, duration, t } from "../i18n.js";
import { icon } from "../icons.js";
import { toastError } from "../shell.js";

/** In the order in which a cost is explained; a term that is not here comes last. */
export const TERMS = [
  "travel", "wait", "stand", "lateness", "detour", "disturbance", "refusal", "credit", "idle", "fairness", "ageing",
]; // prettier-ignore
/** Answers that say why there is none. */
const SILENT = new Set(["not_recorded", "not_planned", "not_there", "not_in_tick"]);

/** The tab of one order: its decisions, and what was asked about them. */
export class WhyTab {
  /** @param {{api: import("../api.js").Api, board: import("./board.js").Board, paint: () => void}} parts */
  constructor({ api, board, paint }) {
    Object.assign(this, { api, board, paint });
    this.orderId = null;
    this.forget();
  }

  forget() {
    /** By decision ("" for an order that waits): who was asked about, and what was said. @type {Map<string, any>} */
    this.asked = new Map();
  }

  /** @param {import("./board.js").Order} order @param {any} why WhyView; null while it is fetched */
  view(order, why) {
    if (order.id !== this.orderId) {
      this.orderId = order.id;
      this.forget();
    }
    if (!why) return h("p", { class: "muted" }, t("console.loading"));
    const decisions = [...why.decisions].sort((a, b) => b.at_ms - a.at_ms);
    // A forced change has no candidates of its own: the last real choice is the one to read.
    const shown = decisions.find((decision) => decision.candidates.length) ?? decisions[0];
    return [
      why.waiting && whyYet(why),
      why.waiting && this.question(order, null),
      !decisions.length && !why.waiting && h("p", { class: "muted" }, t("why.none")),
      decisions.map((decision) => this.decision(order, decision, decision === shown)),
    ];
  }

  decision(order, decision, isOpen) {
    const fit = decision.candidates.filter((candidate) => !candidate.excluded);
    const out = decision.candidates.filter((candidate) => candidate.excluded);
    const chosen = fit.find((candidate) => candidate.is_chosen);
    const others = fit.filter((candidate) => candidate !== chosen).sort((a, b) => a.cost_s - b.cost_s);
    const isPlanned = ["optimizer", "greedy", "preview"].includes(decision.mode);
    return h(
      "details",
      { key: decision.id, class: "decision", open: isOpen },
      h(
        "summary",
        {},
        h("b", {}, t(`why.mode.${decision.mode}`)),
        " ",
        h(
          "span",
          { class: "muted" },
          clockTime(decision.at_ms, true),
          decision.regret_s > 0 ? ` · ${t("why.regret", { age: exact(decision.regret_s) })}` : "",
        ),
      ),
      decision.regret_s < 0 &&
        h("p", { class: "note" }, icon("swap"), t("why.gave_up", { age: exact(decision.regret_s) })),
      decision.regret_s > 0 &&
        others.length > 0 &&
        h(
          "p",
          {},
          t("why.chosen_by", { name: nameOf(chosen), other: nameOf(others[0]), age: exact(decision.regret_s) }),
        ),
      decision.mode === "forced" && decision.note && h("p", { class: "muted" }, codeText("reason", decision.note)),
      chosen && beside(nameOf(chosen), chosen, others.length ? nameOf(others[0]) : null, others[0]),
      chosen && bestList([chosen, ...others]),
      out.length > 0 && excludedList(out),
      !fit.length && !out.length && isPlanned && h("p", { class: "muted" }, t("why.no_candidates")),
      isPlanned && this.question(order, decision),
    );
  }

  /** "Why not …?" about any runner of the campus. */
  question(order, decision) {
    const key = decision?.id ?? "";
    const state = this.asked.get(key) ?? {};
    const listId = `runners-${key || "now"}`;
    const names = namesOf(this.board);
    const ask = (event) => {
      event.preventDefault();
      const text = event.currentTarget.elements.runner.value.trim();
      this.ask(order, decision, names.get(text) ?? null);
    };
    return h(
      "form",
      { class: "why-not", key: `ask-${key}`, onsubmit: ask, "aria-label": t("why_not.title") },
      h(
        "label",
        { class: "field" },
        h("span", {}, t("why_not.title")),
        h("input", {
          class: "input",
          name: "runner",
          required: true,
          list: listId,
          autocomplete: "off",
          placeholder: t("why_not.ask"),
          onchange: (event) => names.has(event.target.value) && this.ask(order, decision, names.get(event.target.value)),
        }),
      ),
      h(
        "datalist",
        { id: listId },
        [...names.keys()].map((name) => h("option", { value: name, key: name })),
      ),
      h("button", { class: "button small", disabled: Boolean(state.isBusy) }, t("why_not.go")),
      h("div", { class: "why-not-answer", role: "status" }, this.answer(state)),
    );
  }

  async ask(order, decision, runnerId) {
    const key = decision?.id ?? "";
    const before = this.asked.get(key);
    if (before?.isBusy || (runnerId && before?.runnerId === runnerId && before.said)) return;
    const state = { runnerId, isBusy: Boolean(runnerId), isUnknown: !runnerId, said: null };
    this.asked.set(key, state);
    this.paint();
    if (!runnerId) return;
    try {
      const query = decision ? { runner_id: runnerId, decision_id: decision.id } : { runner_id: runnerId };
      state.said = await this.api.get(`/orders/${order.id}/why-not`, query);
    } catch (error) {
      toastError(error);
    }
    state.isBusy = false;
    this.paint();
  }

  answer({ isBusy, isUnknown, said }) {
    if (isUnknown) return h("p", { class: "muted" }, t("why_not.unknown"));
    if (isBusy) return h("p", { class: "muted" }, t("why_not.asking"));
    if (!said) return null;
    const hasTerms = said.chosen_id && said.chosen_id !== said.runner_id && Object.keys(said.terms).length > 0;
    return [
      h(
        "p",
        { class: `note is-${said.rule}`, "data-rule": said.rule },
        icon(SILENT.has(said.rule) ? "history" : "info"),
        h(
          "span",
          {},
          sentence(said),
          said.at_ms && h("small", { class: "muted" }, ` ${t("why_not.as_of", { at: clockTime(said.at_ms, true) })}`),
        ),
      ),
      hasTerms &&
        beside(
          said.chosen_name,
          { cost_s: said.chosen_cost_s, terms: said.chosen_terms },
          said.runner_name,
          { cost_s: said.cost_s, terms: said.terms },
        ),
    ];
  }
}

/** The answer to "why not …?" in words. */
function sentence(said) {
  const words = { name: said.runner_name, chosen: said.chosen_name, age: exact(said.gap_s ?? 0) };
  if (said.rule === "chosen") return t(said.is_decided ? "why_not.chosen" : "why_not.foreseen", words);
  if (SILENT.has(said.rule) || said.gap_s !== null) return t(`why_not.${said.rule}`, words);
  const isRule = codeText("excluded", said.rule, "") !== "";
  return isRule
    ? t("why_not.excluded", { ...words, rule: codeText("excluded", said.rule) })
    : t("why_not.nobody", { rule: codeText("waiting", said.rule) });
}

/** Why nobody has it yet, by the planner's last plan. @param {any} why WhyView */
export function whyYet(why) {
  const { foreseen } = why;
  return h(
    "p",
    { class: "note is-waiting", role: "status", key: "yet", "data-reason": why.waiting },
    icon(foreseen?.runner_id ? "user" : "clock"),
    h(
      "span",
      {},
      foreseen?.runner_id
        ? t("yet.planned", {
            name: why.foreseen_name,
            at: clockTime(foreseen.leave_at_ms),
            done: clockTime(foreseen.done_at_ms),
          })
        : codeText("waiting", why.waiting),
      why.planned_at_ms &&
        h("small", { class: "muted" }, ` ${t("yet.as_of", { at: clockTime(why.planned_at_ms, true) })}`),
    ),
  );
}

// --- pictures --------------------------------------------------------------------------------------------------------

/** Two costs side by side: a bar for each term, to the left of the line where it speaks for the runner. */
function beside(nameA, a, nameB, b) {
  const names = [...new Set([...Object.keys(a.terms), ...Object.keys(b?.terms ?? {})])].sort(
    (one, other) => rank(one) - rank(other),
  );
  if (!names.length) return null;
  const values = names.flatMap((name) => [a.terms[name] ?? 0, b?.terms[name] ?? 0]);
  const scale = { low: Math.min(0, ...values), high: Math.max(1, ...values) };
  const head = (name) => h("th", { scope: "col", title: name }, name);
  const row = (name) =>
    h(
      "tr",
      { key: name, "data-term": name },
      h("th", { scope: "row", title: codeText("why.hint", name, "") }, codeText("why.term", name)),
      termCell(a.terms[name], scale),
      b && termCell(b.terms[name], scale),
    );
  return h(
    "table",
    { class: "terms" },
    h("caption", { class: "sr-only" }, t("why.terms_caption")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("why.term_name")), head(nameA), b && head(nameB))),
    h("tbody", {}, names.map(row)),
    h(
      "tfoot",
      {},
      h("tr", {}, h("th", { scope: "row" }, t("why.sum")), h("td", {}, clock(a.cost_s)), b && h("td", {}, clock(b.cost_s))),
    ),
  );
}

function rank(name) {
  const index = TERMS.indexOf(name);
  return index < 0 ? TERMS.length : index;
}

function termCell(value, { low, high }) {
  const at = (seconds) => ((seconds - low) / (high - low)) * 100;
  const [from, to] = [Math.min(0, value ?? 0), Math.max(0, value ?? 0)].map(at);
  const css = { "--from": `${from.toFixed(1)}%`, "--size": `${(to - from).toFixed(1)}%`, "--zero": `${at(0).toFixed(1)}%` };
  return h(
    "td",
    {},
    h("span", { class: `term-bar ${value < 0 ? "is-good" : ""}`, "aria-hidden": "true", css }),
    h("span", {}, value === undefined ? "–" : clock(value)),
  );
}

function bestList(candidates) {
  const worst = Math.max(1, ...candidates.map((candidate) => candidate.cost_s ?? 0));
  return h(
    "table",
    { class: "why" },
    h("caption", {}, t("why.best_list", { n: candidates.length })),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["runner", "cost", "way", "done_at"].map((name) => h("th", { scope: "col", key: name }, t(`why.${name}`))),
      ),
    ),
    h(
      "tbody",
      {},
      candidates.map((candidate) =>
        h(
          "tr",
          { key: candidate.runner_id, class: candidate.is_chosen ? "is-chosen" : "" },
          h("th", { scope: "row" }, candidate.is_chosen && icon("check"), nameOf(candidate)),
          h("td", { class: "cost" }, bar((candidate.cost_s ?? 0) / worst), clock(candidate.cost_s)),
          h("td", {}, distance(candidate.distance_m)),
          h("td", {}, clockTime(candidate.done_at_ms)),
        ),
      ),
    ),
  );
}

function excludedList(out) {
  return h(
    "details",
    { class: "excluded-list", open: out.length <= 6 },
    h("summary", {}, t("why.excluded_list", { n: out.length })),
    h(
      "ul",
      { class: "excluded" },
      out.map((candidate) =>
        h(
          "li",
          { key: candidate.runner_id },
          h("b", {}, nameOf(candidate)),
          " ",
          codeText("excluded", candidate.excluded),
        ),
      ),
    ),
  );
}

/** How the cost compares with the dearest candidate's. */
function bar(share) {
  return h("span", {
    class: "bar",
    "aria-hidden": "true",
    css: { "--share": Math.max(0, Math.min(1, share)).toFixed(3) },
  });
}

function nameOf(candidate) {
  return candidate.runner_name || candidate.runner_id.slice(-6);
}

/** What can be typed: names, and where two are alike the end of the id as well. */
function namesOf(board) {
  const names = new Map();
  const runners = [...board.runners.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const count = new Map();
  for (const { name } of runners) count.set(name, (count.get(name) ?? 0) + 1);
  for (const { id, name } of runners) names.set(count.get(name) > 1 ? `${name} ${id.slice(-4)}` : name, id);
  return names;
}

/** Up to three minutes in seconds, for regrets are small. */
function exact(seconds) {
  const s = Math.abs(seconds);
  return s < 180 ? t("unit.s", { n: s < 10 ? s.toFixed(1).replace(/\.0$/, "") : Math.round(s) }) : duration(s);
}

/** Minutes and seconds: the terms are times, and times of this length are read like that. */
function clock(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) < 0.5 ? "0:00" : countdown(Math.round(value));
}
