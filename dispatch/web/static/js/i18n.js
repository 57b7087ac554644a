/** Languages: every visible text by key, and how amounts, times and lengths are written. */

import { strings as chinese } from "./strings.zh-CN.js";
import { strings as english } from "./strings.en.js";

/** @typedef {"zh-CN" | "en"} Language */

const TABLES = { "zh-CN": chinese, en: english };
const REMEMBERED = "dispatch.language";
const listeners = new Set();
/** @type {Language} */
let language = choose();
let timeZone = "Asia/Shanghai";

function choose() {
  const remembered = read(REMEMBERED);
  if (remembered === "zh-CN" || remembered === "en") return remembered;
  const preferred = navigator.languages?.find((tag) => /^(zh|en)\b/i.test(tag)) ?? "en";
  return /^zh/i.test(preferred) ? "zh-CN" : "en";
}

/** Storage may be forbidden (private windows): the page then simply forgets. */
export function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    /* a full or forbidden store costs comfort only */
  }
}

/** @returns {Language} */
export function currentLanguage() {
  return language;
}

/** @param {Language} next */
export function setLanguage(next) {
  language = next;
  remember(REMEMBERED, next);
  applyLanguage();
  for (const listener of listeners) listener(next);
}

export function onLanguage(listener) {
  listeners.add(listener);
}

/** Fill the texts that stand in the HTML itself. */
export function applyLanguage() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  }
  const title = document.querySelector("title")?.dataset.title;
  if (title) document.title = t(title);
}

/** @param {string} zone the campus's IANA zone: its clock is the one that people there look at */
export function setTimeZone(zone) {
  timeZone = zone;
}

/**
 * The text of `key` with `{name}` filled in. A missing text shows its key: visible, and no page breaks over it.
 * @param {string} key
 * @param {Record<string, string | number>} [params]
 */
export function t(key, params) {
  const text = TABLES[language][key] ?? english[key] ?? key;
  return params ? text.replace(/\{(\w+)\}/g, (whole, name) => String(params[name] ?? whole)) : text;
}

export function has(key) {
  return key in TABLES[language];
}

/** The field of a view in the reader's language: `pick(line, "label")` takes label_zh or label_en. */
export function pick(view, base) {
  const wanted = language === "en" ? view[`${base}_en`] : (view[`${base}_zh`] ?? view[base]);
  return wanted || view[`${base}_zh`] || view[base] || view[`${base}_en`] || "";
}

/** A text by code with the server's own words as the fall-back. */
export function codeText(prefix, code, fallback = code) {
  const key = `${prefix}.${code}`;
  return has(key) ? t(key) : (fallback ?? "");
}

/** @param {number} fen */
export function yuan(fen) {
  const sign = fen < 0 ? "−" : "";
  return `${sign}¥${(Math.abs(fen) / 100).toFixed(2)}`;
}

/** @param {number | null | undefined} ms */
export function clockTime(ms, withSeconds = false) {
  if (ms === null || ms === undefined) return "–";
  return new Intl.DateTimeFormat(language, {
    hour: "2-digit",
    minute: "2-digit",
    second: withSeconds ? "2-digit" : undefined,
    hourCycle: "h23",
    timeZone,
  }).format(ms);
}

export function dayAndTime(ms) {
  return new Intl.DateTimeFormat(language, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone,
  }).format(ms);
}

/** A length of time in the coarsest unit that still says something. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(Math.abs(seconds)));
  if (s < 60) return t("unit.s", { n: s });
  if (s < 3600) return t("unit.min", { n: Math.round(s / 60) });
  if (s < 86_400) return t("unit.h", { n: (s / 3600).toFixed(1).replace(/\.0$/, "") });
  return t("unit.d", { n: Math.round(s / 86_400) });
}

/** Minutes and seconds, as on a kitchen timer; minus in front once it is over. */
export function countdown(seconds) {
  const s = Math.abs(Math.trunc(seconds));
  const sign = seconds < 0 ? "−" : "";
  if (s >= 3600) return `${sign}${Math.floor(s / 3600)}:${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} h`;
  return `${sign}${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** @param {number | null | undefined} m */
export function distance(m) {
  if (m === null || m === undefined) return "–";
  return m < 1000 ? t("unit.m", { n: Math.round(m) }) : t("unit.km", { n: (m / 1000).toFixed(1) });
}

export function volume(ml) {
  return t("unit.l", { n: Math.round(ml / 1000) });
}

export function weight(g) {
  return g < 1000 ? t("unit.g", { n: g }) : t("unit.kg", { n: (g / 1000).toFixed(1).replace(/\.0$/, "") });
}
