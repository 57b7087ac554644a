/** Geofences at the console: a panel over the map to list, draw, change and delete them, and what happens at them. */

import { coalesce, h, render } from "../dom.js";
import { clockTime, duration, onLanguage, pick, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, toast, toastError } from "../shell.js";
import { draftOf, fenceForm, newDraft, requestOf, tapped, zoneRequestOf } from "./fence-form.js";
import { FenceLayer } from "./fence-layer.js";

const REFRESH_MS = 60_000;
const FEED_KEPT = 40;
const KINDS = { geofence_entered: "entered", geofence_left: "left", geofence_dwelled: "dwelled" };

/** @typedef {{change: string, runnerId: string, runnerName: string, fenceId: string, name: string, atMs: number, insideS: number | null}} News */

export class Fences {
  /**
   * @param {{element: HTMLElement, map: import("../map.js").CampusMap, api: import("../api.js").Api,
   *   nameOf: (runnerId: string) => string, runners: () => {id: string, name: string}[], onRunner: (runnerId: string) => void}} parts
   */
  constructor({ element, map, api, nameOf, runners, onRunner }) {
    Object.assign(this, { element, api, nameOf, runners, onRunner });
    this.list = [];
    /** @type {Map<string, any>} */
    this.figures = new Map();
    /** Newest first. @type {News[]} */
    this.feed = [];
    this.draft = null;
    this.chosenId = null;
    this.layer = new FenceLayer(map, { onTap: (point) => (tapped(this.draft, point), this.paint()) });
    this.paint = coalesce(() => this.paintNow());
    onLanguage(() => this.paint());
    setInterval(() => this.load(), REFRESH_MS);
    this.load();
  }

  get isOpen() {
    return !this.element.hidden;
  }

  toggle() {
    this.element.hidden = this.isOpen;
    if (this.isOpen) this.load();
    else this.stopDrawing();
    this.paint();
  }

  /** Escape: whether there was something to give up. */
  escape() {
    if (this.draft) this.stopDrawing();
    else if (this.isOpen) this.toggle();
    else return false;
    return true;
  }

  stopDrawing() {
    this.draft = null;
    this.paint();
  }

  async load() {
    try {
      this.list = (await this.api.get("/geofences")).geofences;
      if (this.isOpen) {
        const [report, log] = await Promise.all([
          this.api.get("/geofences/report"),
          this.api.get("/geofences/stays", { limit: FEED_KEPT }),
        ]);
        this.figures = new Map(report.rows.map((row) => [row.fence_id, row]));
        this.feed = newsOf(log.stays);
      }
    } catch (error) {
      console.warn("geofences:", error.code);
    }
    this.paint();
  }

  /** @param {{kind: string, data: any}} event */
  apply({ kind, data }) {
    const change = KINDS[kind];
    if (!change) return;
    const fence = this.list.find((one) => one.id === data.fence_id);
    if (!fence) this.load();
    else if (change === "left") fence.inside = fence.inside.filter((id) => id !== data.runner_id);
    else if (!fence.inside.includes(data.runner_id)) fence.inside.push(data.runner_id);
    this.feed.unshift({
      change,
      runnerId: data.runner_id,
      runnerName: "",
      fenceId: data.fence_id,
      name: data.name,
      atMs: data.at_ms,
      insideS: data.inside_s ?? null,
    });
    this.feed.length = Math.min(this.feed.length, FEED_KEPT);
    this.paint();
  }

  // --- acting

  async save() {
    const { draft } = this;
    try {
      const body = requestOf(draft);
      const fence = draft.id
        ? await this.api.call("PUT", `/geofences/${draft.id}`, body)
        : await this.api.post("/geofences", body);
      const zone = zoneRequestOf(draft, fence);
      if (zone) await this.api.call("PUT", `/geofences/${fence.id}/zone`, zone);
      this.stopDrawing();
      toast(t("fence.saved", { name: body.name }), { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
      if (error.status === 409) this.stopDrawing();
    }
    this.load();
  }

  async remove(fence) {
    const isSure = await ask({
      title: t("fence.delete_title", { name: this.nameOfFence(fence) }),
      content: (close) => [
        h("p", {}, t("fence.delete_text")),
        h("button", { type: "button", class: "button danger wide", onclick: () => close(true) }, t("fence.delete")),
      ],
    });
    if (!isSure) return;
    try {
      await this.api.call("DELETE", `/geofences/${fence.id}?version=${fence.version}`);
      toast(t("fence.deleted", { name: this.nameOfFence(fence) }), { kind: "good", seconds: 3 });
    } catch (error) {
      toastError(error);
    }
    this.load();
  }

  choose(fence) {
    this.chosenId = this.chosenId === fence.id ? null : fence.id;
    if (this.chosenId) this.layer.lookAt(fence.shape);
    this.paint();
  }

  // --- painting

  paintNow() {
    this.layer.show(this.draft?.id ? this.list.filter((one) => one.id !== this.draft.id) : this.list, this.chosenId);
    this.layer.sketch(this.draft?.shape ?? null);
    this.layer.setNamed(this.isOpen);
    if (!this.isOpen) return;
    render(
      this.element,
      h(
        "div",
        { class: "panel-head" },
        h("h2", {}, t("fence.title")),
        h(
          "button",
          { type: "button", class: "icon-button", "aria-label": t("nav.close"), onclick: () => this.toggle() },
          icon("close"),
        ),
      ),
      this.draft
        ? fenceForm(this.draft, {
            runners: this.runners(),
            onChange: () => this.paint(),
            onSave: () => this.save(),
            onCancel: () => this.stopDrawing(),
          })
        : [this.drawButtons(), this.fenceList(), this.news()],
    );
  }

  drawButtons() {
    const begin = (kind) => () => ((this.draft = newDraft(kind)), this.paint());
    return h(
      "div",
      { class: "actions", key: "draw" },
      ["circle", "polygon"].map((kind) =>
        h(
          "button",
          { type: "button", class: "button small grow", id: `draw-${kind}`, onclick: begin(kind) },
          icon("plus"),
          t(`fence.${kind}`),
        ),
      ),
    );
  }

  fenceList() {
    return h(
      "ul",
      { class: "fence-list", key: "list", "aria-label": t("fence.title") },
      this.list.map((fence) => this.row(fence)),
      !this.list.length && h("li", { class: "empty", key: "none" }, t("fence.none")),
    );
  }

  row(fence) {
    const known = this.figures.get(fence.id);
    const button = (name, label, run) =>
      h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick: run }, icon(name));
    const name = this.nameOfFence(fence);
    return h(
      "li",
      { key: fence.id, class: `fence-row ${this.chosenId === fence.id ? "is-chosen" : ""}`, "data-fence": fence.id },
      h(
        "button",
        { type: "button", class: "link grow", onclick: () => this.choose(fence) },
        h("b", {}, name),
        h(
          "small",
          { class: "muted" },
          fence.zone ? `${t(`zone.mode.${fence.zone.mode}`)} · ` : "",
          t("fence.inside", { n: fence.inside.length }),
          known?.visits ? ` · ${t("fence.visits", { n: known.visits })}` : "",
          known?.median_s ? ` · ${t("fence.median", { age: duration(known.median_s) })}` : "",
        ),
      ),
      button("pencil", t("fence.edit", { name }), () => ((this.draft = draftOf(fence)), this.paint())),
      button("bin", t("fence.delete_title", { name }), () => this.remove(fence)),
    );
  }

  news() {
    return h(
      "section",
      { class: "fence-news", key: "news" },
      h("h3", {}, t("fence.news")),
      h(
        "ol",
        {},
        this.feed.map((one) =>
          h(
            "li",
            { key: `${one.change}-${one.runnerId}-${one.fenceId}-${one.atMs}` },
            h("time", {}, clockTime(one.atMs)),
            h("button", { type: "button", class: "link", onclick: () => this.onRunner(one.runnerId) }, this.words(one)),
          ),
        ),
        !this.feed.length && h("li", { class: "empty", key: "none" }, t("fence.quiet")),
      ),
    );
  }

  /** What happened, as one says it. @param {News} one */
  words(one) {
    const fence = this.list.find((known) => known.id === one.fenceId);
    return t(`fence.${one.change}`, {
      who: this.nameOf(one.runnerId) || one.runnerName || t("fence.somebody"),
      fence: fence ? this.nameOfFence(fence) : one.name,
      age: duration(one.insideS ?? 0),
    });
  }

  nameOfFence(fence) {
    return pick({ ...fence, name_zh: fence.name }, "name");
  }
}

/** The log as news: each stay is an entering and, once it is over, a leaving. @returns {News[]} */
function newsOf(stays) {
  const news = stays.flatMap((stay) => {
    const base = { runnerId: stay.runner_id, runnerName: stay.runner_name, fenceId: stay.fence_id, name: stay.fence_name };
    const entered = { ...base, change: "entered", atMs: stay.entered_at_ms, insideS: null };
    const left = { ...base, change: "left", atMs: stay.left_at_ms, insideS: stay.inside_s };
    return stay.left_at_ms === null ? [entered] : [left, entered];
  });
  return news.sort((a, b) => b.atMs - a.atMs).slice(0, FEED_KEPT);
}
