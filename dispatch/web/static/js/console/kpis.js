/** The figures on top: now, and against the same time yesterday. */

import { h } from "../dom.js";
import { t, yuan } from "../i18n.js";

/** @param {import("./board.js").Board} board */
export function kpiStrip(board, { filter, onFilter }) {
  const counts = board.counts();
  const kpis = board.kpis;
  const figure = (name, value, { tone = "", note = null, to = null } = {}) =>
    h(
      to ? "button" : "div",
      {
        key: name,
        class: `kpi ${tone}`,
        type: to ? "button" : null,
        "aria-pressed": to ? String(filter === to) : null,
        onclick: to ? () => onFilter(to) : null,
      },
      h("b", {}, value),
      h("small", {}, t(`kpi.${name}`), note),
    );
  if (!kpis) return h("div", { class: "kpis" });
  return h(
    "div",
    { class: "kpis", role: "group", "aria-label": t("kpi.label") },
    figure("active", counts.all, { to: "all" }),
    figure("unassigned", counts.unassigned, { to: "unassigned", tone: counts.unassigned ? "is-waiting" : "" }),
    figure("late", counts.late, { to: "late", tone: counts.late ? "is-late" : "" }),
    figure("online", `${kpis.online}/${kpis.runners}`),
    figure("done", kpis.done_today, { note: change(kpis.done_today, kpis.done_yesterday) }),
    figure("turnover", yuan(kpis.turnover_today_fen)),
    figure("students", kpis.students_today),
  );
}

function change(today, yesterday) {
  if (!yesterday) return null;
  const percent = Math.round(((today - yesterday) / yesterday) * 100);
  const arrow = percent > 0 ? "▲" : percent < 0 ? "▼" : "＝";
  return h(
    "span",
    { class: percent < 0 ? "down" : "up", title: t("kpi.yesterday", { n: yesterday }) },
    ` ${arrow}${Math.abs(percent)}%`,
  );
}
