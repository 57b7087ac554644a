/** The start page: which page is yours. */

import { $, h, render } from "./dom.js";
import { applyLanguage, onLanguage, t } from "./i18n.js";
import { icon, mark } from "./icons.js";
import { lookButtons } from "./shell.js";

const SIGNS = { "to-track": "parcel", "to-runner": "bike", "to-console": "map" };

/** A walk across a campus: two buildings, a pond, a way with a runner on it. */
function art() {
  return h(
    "svg",
    { viewBox: "0 0 640 220" },
    h("path", { class: "art-lawn", d: "M0 150q160-70 320-30t320-40v140H0z" }),
    h("path", { class: "art-pond", d: "M430 168q40-26 96-12t60 34q-40 22-100 14t-56-36z" }),
    h(
      "g",
      { class: "art-house" },
      h("rect", { x: 56, y: 66, width: 96, height: 74, rx: 6 }),
      h("rect", { x: 166, y: 90, width: 60, height: 50, rx: 6 }),
      h("rect", { x: 478, y: 34, width: 112, height: 78, rx: 6 }),
    ),
    h(
      "g",
      { class: "art-windows" },
      [72, 96, 120].map((x) => [84, 108].map((y) => h("rect", { x, y, width: 12, height: 12, rx: 2 }))),
      [496, 524, 552].map((x) => [52, 78].map((y) => h("rect", { x, y, width: 14, height: 12, rx: 2 }))),
    ),
    h("path", { class: "art-way", d: "M104 150C130 200 250 206 310 168S420 108 534 122" }),
    h("circle", { class: "art-start", cx: 104, cy: 150, r: 9 }),
    h("circle", { class: "art-goal", cx: 534, cy: 122, r: 11 }),
    h("circle", { class: "art-pulse", cx: 330, cy: 155, r: 20 }),
    h("circle", { class: "art-runner", cx: 330, cy: 155, r: 11 }),
  );
}

function paint() {
  applyLanguage();
  render($("#brand"), mark(), h("b", {}, t("page.title.landing")));
  render($("#look"), lookButtons());
  for (const [id, name] of Object.entries(SIGNS)) render($(`#${id} .door-sign`), icon(name));
}

$("#art").append(art());
onLanguage(paint);
paint();
