/** A runner's week: a grid of classes and shifts, a form for one of them, a file to read, zones to work in. */

import { h } from "./dom.js";
import { textField } from "./field.js";
import { codeText, pick, t } from "./i18n.js";
import { icon } from "./icons.js";
import { toast, toastError } from "./shell.js";
import { clockOf, minuteOf, weeksOf, weeksText } from "./week-text.js";

const DAYS = [1, 2, 3, 4, 5, 6, 7];
const FIRST_HOUR = 6;
const EMPTY = { kind: "class", weekday: 1, from: "08:00", to: "09:35", firstDay: "", lastDay: "", weeks: "", label: "" };

/** @typedef {{kind: string, weekday: number, from: string, to: string, firstDay: string, lastDay: string, weeks: string, label: string}} EntryDraft */

export class Week {
  /** @param {{api: import("./api.js").Api, path: string, isOwn?: boolean, paint: () => void}} parts */
  constructor({ api, path, isOwn = true, paint }) {
    Object.assign(this, { api, path, isOwn, paint });
    /** What the server knows. @type {any} */
    this.known = null;
    /** What was changed and is not saved. @type {{term_starts: string | null, entries: any[], zones: string[] | null} | null} */
    this.changed = null;
    /** @type {{row: number | null, draft: EntryDraft} | null} */
    this.form = null;
    this.isBusy = false;
  }

  get now() {
    return this.changed ?? this.known;
  }

  async load() {
    try {
      this.known = await this.api.get(this.path);
    } catch (error) {
      toastError(error);
    }
    this.paint();
  }

  /** @param {Partial<{term_starts: string | null, entries: any[], zones: string[] | null}>} change */
  change(change) {
    const { term_starts, entries, zones } = this.now;
    this.changed = { term_starts, entries, zones, ...change };
    this.paint();
  }

  async save() {
    this.isBusy = true;
    this.paint();
    try {
      this.known = await this.api.call("PUT", this.path, { version: this.known.version, ...this.changed });
      this.changed = null;
      toast(this.words("saved"), { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
      if (error.status === 409) await this.load();
    }
    this.isBusy = false;
    this.paint();
  }

  /** The text for whoever writes their own week, or for the campus team about somebody else's. */
  words(name) {
    return t(this.isOwn ? `week.${name}` : `week.other.${name}`);
  }

  giveUp() {
    this.changed = null;
    this.form = null;
    this.paint();
  }

  /** @param {File | undefined} file */
  async read(file) {
    if (!file) return;
    const isCalendar = /\.ics$/i.test(file.name) || file.type === "text/calendar";
    const blob = new Blob([await file.arrayBuffer()], { type: isCalendar ? "text/calendar" : "text/csv" });
    const term = this.now.term_starts;
    try {
      const path = term ? `/runner/plan/read?term_starts=${term}` : "/runner/plan/read";
      const found = await this.api.upload(path, blob);
      const shifts = this.now.entries.filter((entry) => entry.kind === "shift" && !entry.weeks.length);
      const isAllClasses = found.entries.every((entry) => entry.kind === "class");
      this.change({
        term_starts: found.term_starts ?? term,
        entries: isAllClasses ? [...shifts, ...found.entries] : found.entries,
      });
      toast(t("week.read", { n: found.entries.length }), { kind: "good" });
    } catch (error) {
      this.sayWhatIsWrong(error);
    }
  }

  sayWhatIsWrong(error) {
    const problems = error.detail?.problems ?? [];
    if (!problems.length) return toastError(error);
    const text = problems
      .slice(0, 3)
      .map(({ line, field, message }) =>
        t("week.fault", { line, field, message: codeText("week.fault", field, message) }),
      );
    toast(text.join(" · ") + (problems.length > 3 ? " …" : ""), { kind: "bad", seconds: 20 });
  }

  // --- one entry

  open(row) {
    const entry = row === null ? null : this.now.entries[row];
    this.form = { row, draft: entry ? draftOf(entry) : { ...EMPTY } };
    this.paint();
    // The page is painted a moment later.
    setTimeout(() => document.querySelector(".week-form")?.scrollIntoView({ block: "nearest" }), 100);
  }

  keep() {
    const { row, draft } = this.form;
    const entry = entryOf(draft);
    if (!entry) return toast(t("week.wrong"), { kind: "bad" });
    if (entry.weeks.length && !this.now.term_starts) return toast(t("week.term_first"), { kind: "bad" });
    const entries = [...this.now.entries];
    if (row === null) entries.push(entry);
    else entries[row] = entry;
    this.form = null;
    this.change({ entries });
  }

  remove() {
    const { row } = this.form;
    this.form = null;
    this.change({ entries: this.now.entries.filter((_, index) => index !== row) });
  }

  // --- painting

  view() {
    if (!this.known) return h("p", { class: "muted", key: "week" }, t("console.loading"));
    return [
      this.known.excluded &&
        h(
          "p",
          { class: "note", key: "why", role: "status" },
          icon("info"),
          codeText("availability", this.known.excluded, this.known.excluded),
        ),
      this.head(),
      this.form ? this.formView() : null,
      this.grid(),
      this.zones(),
      this.changed && this.saveBar(),
    ];
  }

  head() {
    const set = (event) => this.change({ term_starts: event.target.value || null });
    return h(
      "section",
      { class: "week-head", key: "head" },
      h("button", { type: "button", class: "button small", id: "week-add", onclick: () => this.open(null) }, icon("plus"), t("week.add")),
      this.isOwn &&
        h(
          "label",
          { class: "button small" },
          icon("list"),
          t("week.file"),
          h("input", {
            type: "file",
            class: "sr-only",
            id: "week-file",
            accept: ".ics,.csv,text/calendar,text/csv",
            onchange: (event) => {
              this.read(event.target.files[0]);
              event.target.value = "";
            },
          }),
        ),
      h(
        "label",
        { class: "week-term" },
        t("week.term"),
        h("input", { type: "date", class: "input", value: this.now.term_starts ?? "", onchange: set }),
      ),
    );
  }

  grid() {
    const { entries } = this.now;
    const parts = entries.flatMap((entry, row) => partsOf(entry).map((part) => ({ ...part, entry, row })));
    return h(
      "section",
      { class: "week", key: "grid", "aria-label": t("week.title") },
      DAYS.map((day) =>
        h(
          "div",
          { class: "week-day", key: day },
          h("b", {}, t(`week.day.${day}`)),
          h(
            "div",
            { class: "week-column" },
            parts
              .filter((part) => part.weekday === day)
              .map((part) => this.block(part)),
          ),
        ),
      ),
      !entries.length && h("p", { class: "empty week-empty", key: "none" }, this.words("none")),
    );
  }

  block({ from, to, entry, row }) {
    const start = Math.max(0, from - FIRST_HOUR * 60);
    const length = Math.max(45, to - Math.max(from, FIRST_HOUR * 60));
    const when = `${clockOf(entry.from_min)}–${clockOf(entry.to_min)}`;
    const name = entry.label || t(`week.${entry.kind}`);
    return h(
      "button",
      {
        type: "button",
        key: `${row}-${from}`,
        class: `week-entry is-${entry.kind} ${this.form?.row === row ? "is-chosen" : ""}`,
        css: { "--from": start / 60, "--hours": length / 60 },
        "aria-label": `${t(`week.day.${entry.weekday}`)} ${when} ${name}`,
        title: `${when} ${name} ${entry.weeks.length ? t("week.weeks_short", { weeks: weeksText(entry.weeks) }) : ""}`,
        onclick: () => this.open(row),
      },
      h("small", {}, clockOf(entry.from_min)),
      h("span", {}, name),
    );
  }

  formView() {
    const { draft, row } = this.form;
    const field = (name, label, props) => textField(draft, name, label, props);
    return h(
      "form",
      { class: "card week-form", key: `form-${row ?? "new"}`, onsubmit: (event) => (event.preventDefault(), this.keep()) },
      h(
        "div",
        { class: "segmented", role: "radiogroup", "aria-label": t("week.kind") },
        ["class", "shift"].map((kind) =>
          h(
            "button",
            {
              type: "button",
              role: "radio",
              "aria-checked": String(draft.kind === kind),
              onclick: () => ((draft.kind = kind), this.paint()),
            },
            t(`week.${kind}`),
          ),
        ),
      ),
      h(
        "div",
        { class: "field-row" },
        h(
          "label",
          { class: "field" },
          h("span", {}, t("week.weekday")),
          h(
            "select",
            {
              class: "input",
              name: "weekday",
              value: String(draft.weekday),
              onchange: (event) => (draft.weekday = Number(event.target.value)),
            },
            DAYS.map((day) => h("option", { value: String(day) }, t(`week.day.${day}`))),
          ),
        ),
        field("from", t("week.from"), { type: "time", required: true }),
        field("to", t("week.to"), { type: "time", required: true }),
      ),
      field("label", t("week.label"), { maxlength: 60 }),
      h(
        "div",
        { class: "field-row" },
        field("firstDay", t("week.first_day"), { type: "date" }),
        field("lastDay", t("week.last_day"), { type: "date" }),
        field("weeks", t("week.weeks"), { placeholder: "1-16", maxlength: 80 }),
      ),
      h(
        "div",
        { class: "actions" },
        h("button", { class: "button primary grow", id: "week-keep" }, icon("check"), t("week.keep")),
        row !== null &&
          h("button", { type: "button", class: "button danger", onclick: () => this.remove() }, icon("bin"), t("week.remove")),
        h("button", { type: "button", class: "button quiet", onclick: () => ((this.form = null), this.paint()) }, t("week.cancel")),
      ),
    );
  }

  zones() {
    const { known_zones: zones } = this.known;
    if (!zones.length) return null;
    const chosen = this.now.zones;
    const toggle = (id) => {
      const next = chosen?.includes(id) ? chosen.filter((one) => one !== id) : [...(chosen ?? []), id];
      this.change({ zones: next.length ? next : null });
    };
    return h(
      "fieldset",
      { class: "card week-zones", key: "zones" },
      h("legend", {}, this.words("zones")),
      zones.map((zone) =>
        h(
          "label",
          { class: "check", key: zone.id },
          h("input", {
            type: "checkbox",
            checked: Boolean(chosen?.includes(zone.id)),
            disabled: !zone.is_open,
            onchange: () => toggle(zone.id),
          }),
          pick({ ...zone, name_zh: zone.name }, "name"),
          h("small", { class: "muted" }, zone.is_open ? t(`zone.mode.${zone.mode}`) : t("week.zone_closed")),
        ),
      ),
      h("small", { class: "muted" }, this.words(chosen ? "zones_some" : "zones_all")),
    );
  }

  saveBar() {
    return h(
      "div",
      { class: "actions week-save", key: "save" },
      h(
        "button",
        { type: "button", class: "button primary grow", id: "week-save", disabled: this.isBusy, onclick: () => this.save() },
        icon("check"),
        t("week.save"),
      ),
      h("button", { type: "button", class: "button quiet", onclick: () => this.giveUp() }, t("week.give_up")),
    );
  }
}

/** An entry over midnight is drawn on both days. */
function partsOf({ weekday, from_min: from, to_min: to }) {
  if (to > from) return [{ weekday, from, to }];
  return [
    { weekday, from, to: 1440 },
    { weekday: (weekday % 7) + 1, from: 0, to },
  ];
}

/** @returns {EntryDraft} */
function draftOf(entry) {
  return {
    kind: entry.kind,
    weekday: entry.weekday,
    from: clockOf(entry.from_min),
    to: clockOf(entry.to_min % 1440),
    firstDay: entry.first_day ?? "",
    lastDay: entry.last_day ?? "",
    weeks: weeksText(entry.weeks),
    label: entry.label,
  };
}

/** @param {EntryDraft} draft */
function entryOf(draft) {
  const [from, to, weeks] = [minuteOf(draft.from), minuteOf(draft.to), weeksOf(draft.weeks)];
  const isBackwards = draft.firstDay && draft.lastDay && draft.lastDay < draft.firstDay;
  if (from === null || to === null || weeks === null || from === to || isBackwards) return null;
  return {
    kind: draft.kind,
    weekday: draft.weekday,
    from_min: from,
    to_min: to || 1440,
    first_day: draft.firstDay || null,
    last_day: draft.lastDay || null,
    weeks,
    label: draft.label.trim(),
  };
}
