/** The headline figure of the console: how fresh the positions are, as numbers, a colour and the last ten minutes. */

import { timeScale, now } from "../clock.js";
import { h } from "../dom.js";
import { Freshness, GOOD_MS, SLOW_MS, STEP_MS, STEPS, verdict } from "../freshness.js";
import { t } from "../i18n.js";

const SMALL = { width: 60, height: 18 };
const LARGE = { width: 280, height: 76 };
/** The picture reaches at least so high, so that what is good looks low. */
const LEAST_TOP_MS = 1500;

export class FreshnessView {
  constructor() {
    this.freshness = new Freshness();
  }

  /**
   * Positions are on the map now. Those that came because somebody began to look say nothing about the way here.
   * @param {Iterable<import("../live.js").Position>} positions
   */
  shown(positions) {
    // A hidden tab is painted when the browser finds the time: nobody saw anything late.
    if (document.hidden) return;
    const at = performance.now();
    for (const { receivedAt } of positions) {
      if (receivedAt) this.freshness.add(Math.max(0, (now() - receivedAt) / timeScale()), at);
    }
  }

  view() {
    const at = performance.now();
    const ages = this.freshness.figure(at);
    const series = this.freshness.series(at);
    const parts = ages
      ? [t("fresh.p50", { s: seconds(ages.p50) }), t("fresh.p95", { s: seconds(ages.p95) })]
      : [t("fresh.none")];
    return h(
      "details",
      { class: `menu freshness is-${verdict(ages)}`, id: "freshness", key: "freshness" },
      h(
        "summary",
        { title: t("fresh.hint"), "aria-label": `${t("fresh.label")}: ${parts.join(" · ")}` },
        h("span", { class: "dot", "aria-hidden": "true" }),
        h("span", { class: "fresh-label" }, t("fresh.label")),
        h(
          "b",
          {},
          parts.map((part) => h("span", {}, part)),
        ),
        sparkline(series, SMALL),
      ),
      h(
        "div",
        { class: "menu-card card" },
        h("b", {}, t("fresh.title")),
        h("p", { class: "muted" }, t("fresh.text")),
        h(
          "figure",
          {},
          sparkline(series, LARGE, t("fresh.picture", { n: (STEPS * STEP_MS) / 60_000 })),
          h(
            "figcaption",
            { class: "muted small" },
            h("span", {}, t("fresh.ago", { n: (STEPS * STEP_MS) / 60_000 })),
            h("span", {}, t("fresh.now")),
          ),
        ),
        h(
          "dl",
          { class: "fresh-key" },
          [
            ["good", t("fresh.good", { s: GOOD_MS / 1000 })],
            ["slow", t("fresh.slow", { s: SLOW_MS / 1000 })],
            ["bad", t("fresh.bad", { s: SLOW_MS / 1000 })],
            ["none", t("fresh.gap")],
          ].map(([tone, text]) => [h("dt", { class: `is-${tone}`, "aria-hidden": "true" }), h("dd", {}, text)]),
        ),
        ages && h("p", { class: "muted small" }, t("fresh.count", { n: ages.count })),
      ),
    );
  }
}

/** @param {number} ms */
function seconds(ms) {
  return ms < 95 ? (ms / 1000).toFixed(2) : ms < 9950 ? (ms / 1000).toFixed(1) : String(Math.round(ms / 1000));
}

/**
 * A bar for every ten seconds: as high as its p95, in its colour, the p50 darker within. Heights grow with the square
 * root, so that 50 ms can be told from 200 ms in a picture that has room for seconds.
 * @param {(import("../freshness.js").Ages | null)[]} series
 * @param {{width: number, height: number}} size
 * @param {string} [label] for screen readers; without it the picture repeats what is said beside it
 */
function sparkline(series, { width, height }, label) {
  const top = Math.max(LEAST_TOP_MS, ...series.map((ages) => ages?.p95 ?? 0));
  const step = width / series.length;
  const y = (ms) => Number((height - Math.sqrt(ms / top) * height).toFixed(1));
  const bar = (ms, index, kind) =>
    h("rect", {
      class: kind,
      x: Number((index * step).toFixed(2)),
      y: Math.min(y(ms), height - 1),
      width: Number((step * 0.8).toFixed(2)),
      height: Math.max(1, Number((height - y(ms)).toFixed(1))),
    });
  return h(
    "svg",
    {
      class: "sparkline",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }),
    },
    h("line", { class: "limit", x1: 0, x2: width, y1: y(GOOD_MS), y2: y(GOOD_MS) }),
    series.map((ages, index) =>
      ages
        ? [bar(ages.p95, index, `p95 is-${verdict(ages)}`), bar(ages.p50, index, `p50 is-${verdict(ages)}`)]
        : h("rect", { class: "gap", x: index * step, y: height - 1, width: step * 0.8, height: 1 }),
    ),
  );
}
