/** A field for a place: type a name, take a quick or recent one, or tap the map. */

import { h } from "../dom.js";
import { currentLanguage, t } from "../i18n.js";
import { icon } from "../icons.js";
import { recentPlaces } from "./draft.js";

const SEARCH_AFTER_MS = 180;
const CHIPS = 6;

export class PlacePicker {
  /**
   * @param {object} parts
   * @param {import("../api.js").Api} parts.api
   * @param {string} parts.campusId
   * @param {() => void} parts.paint
   */
  constructor({ api, campusId, paint }) {
    Object.assign(this, { api, campusId, paint });
    this.quick = [];
    /** What is being typed, by role; absent: the field shows the chosen place. @type {Record<string, string>} */
    this.typed = {};
    this.found = [];
    this.role = null;
    this.cursor = -1;
  }

  async loadQuick() {
    this.quick = await this.api.get(`/campuses/${this.campusId}/places`, { limit: 30 }).catch(() => []);
    this.paint();
  }

  nameOf(place) {
    return (currentLanguage() === "en" && place.name_en) || place.name;
  }

  search(role, text) {
    // What was found for another field or another text must not be picked for this one.
    if (this.role !== role || !text.trim()) this.found = [];
    else
      this.found = this.found.filter((place) =>
        `${place.name} ${place.name_en}`.toLowerCase().includes(text.trim().toLowerCase()),
      );
    this.typed[role] = text;
    this.role = role;
    this.cursor = -1;
    this.isPending = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      const found = text.trim()
        ? await this.api
            .get(`/campuses/${this.campusId}/places`, { q: text.trim().slice(0, 80), limit: 8 })
            .catch(() => [])
        : this.quick.slice(0, 8);
      if (this.typed[role] !== text) return;
      this.found = found;
      this.isPending = false;
      this.paint();
    }, SEARCH_AFTER_MS);
    this.paint();
  }

  /**
   * @param {object} options
   * @param {string} options.role
   * @param {import("./draft.js").Place | null} options.place
   * @param {boolean} options.isActive taps on the map go to this field
   * @param {(place: import("./draft.js").Place) => void} options.onPick
   * @param {() => void} options.onFocus
   */
  view({ role, place, isActive, onPick, onFocus }) {
    const id = `place-${role}`;
    const isOpen = isActive && this.role === role && this.typed[role] !== undefined;
    const choose = (found) => {
      delete this.typed[role];
      this.role = null;
      onPick({ place_id: found.id, lat: found.lat, lon: found.lon, label: this.nameOf(found) });
    };
    const onKey = (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && this.found.length) {
        event.preventDefault();
        this.cursor = (this.cursor + step + this.found.length) % this.found.length;
        this.paint();
      } else if (event.key === "Enter" && isOpen && this.found.length) {
        event.preventDefault();
        choose(this.found[Math.max(0, this.cursor)]);
      } else if (event.key === "Escape") {
        delete this.typed[role];
        this.paint();
      }
    };
    return h(
      "div",
      { class: `place ${isActive ? "is-active" : ""}`, key: role },
      h("span", { class: `stop-mark is-${role}`, "aria-hidden": "true" }, t(`stop.short.${role}`)),
      h(
        "div",
        { class: "grow" },
        h("label", { class: "place-label", for: id }, t(`order_form.${role}`)),
        h("input", {
          id,
          class: "input",
          type: "text",
          role: "combobox",
          autocomplete: "off",
          "aria-expanded": String(isOpen),
          "aria-controls": `${id}-list`,
          "aria-autocomplete": "list",
          placeholder: t("order_form.search"),
          "aria-activedescendant": isOpen && this.cursor >= 0 ? `${id}-${this.cursor}` : null,
          value: this.typed[role] ?? place?.label ?? "",
          onkeydown: onKey,
          oninput: (event) => this.search(role, event.target.value),
          onfocus: (event) => (event.target.select(), onFocus()),
          onblur: () => setTimeout(() => (delete this.typed[role], this.paint()), 200),
        }),
        isOpen &&
          h(
            "ul",
            { class: "found card", role: "listbox", id: `${id}-list` },
            this.found.map((found, index) =>
              h(
                "li",
                {
                  key: found.id,
                  role: "option",
                  id: `${id}-${index}`,
                  "aria-selected": String(index === this.cursor),
                  onmousedown: (event) => (event.preventDefault(), choose(found)),
                },
                icon("pin"),
                this.nameOf(found),
              ),
            ),
            !this.found.length &&
              h("li", { class: "empty", key: "none" }, t(this.isPending ? "console.loading" : "order_form.no_place")),
          ),
        isActive && !isOpen && this.chips(role, place, onPick, choose),
      ),
    );
  }

  chips(role, place, onPick, choose) {
    const recent = recentPlaces()
      .filter((known) => known.label !== place?.label)
      .slice(0, 3);
    const used = new Set([...recent.map((known) => known.label), place?.label]);
    const quick = this.quick
      .filter((known) => !used.has(this.nameOf(known)) && this.suits(role, known))
      .slice(0, CHIPS - recent.length);
    return h(
      "div",
      { class: "chips wrap" },
      recent.map((known) =>
        h(
          "button",
          { type: "button", class: "chip", key: known.label, onclick: () => onPick(known) },
          icon("history"),
          known.label,
        ),
      ),
      quick.map((known) =>
        h("button", { type: "button", class: "chip", key: known.id, onclick: () => choose(known) }, this.nameOf(known)),
      ),
      h("span", { class: "hint" }, t("order_form.or_tap")),
    );
  }

  /** Parcels and meals are fetched where there are some; most things are wanted at home. */
  suits(role, place) {
    const isHome = place.kind === "dormitory";
    return role === "dropoff" ? isHome || place.kind === "library" || place.kind === "teaching" : !isHome;
  }
}
