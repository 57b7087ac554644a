/** The form of one geofence: its name, its shape from taps on the map, and when a stay counts as long. */

import { h } from "../dom.js";
import { textField } from "../field.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";

const FIRST_RADIUS_M = 50;

/** @typedef {{id: string | null, version: number, name: string, nameEn: string, dwellMin: string, shape: any, mode: string, runnerIds: string[]}} FenceDraft */

/** @param {"circle" | "polygon"} kind @returns {FenceDraft} */
export function newDraft(kind) {
  const shape =
    kind === "circle" ? { kind, lat: null, lon: null, radius_m: FIRST_RADIUS_M } : { kind, corners: [] };
  return { id: null, version: 0, name: "", nameEn: "", dwellMin: "", shape, mode: "", runnerIds: [] };
}

/** @returns {FenceDraft} */
export function draftOf(fence) {
  return {
    id: fence.id,
    version: fence.version,
    name: fence.name,
    nameEn: fence.name_en ?? "",
    dwellMin: fence.dwell_s === null ? "" : String(fence.dwell_s / 60),
    shape: structuredClone(fence.shape),
    mode: fence.zone?.mode ?? "",
    runnerIds: fence.zone?.runner_ids ?? [],
  };
}

/** A tap on the map: the middle of a circle, or the next corner. @param {FenceDraft} draft */
export function tapped(draft, { lat, lon }) {
  if (draft.shape.kind === "circle") Object.assign(draft.shape, { lat, lon });
  else draft.shape.corners.push([lat, lon]);
}

/** @param {FenceDraft} draft */
export function isDrawn(draft) {
  return draft.shape.kind === "circle" ? draft.shape.lat !== null : draft.shape.corners.length >= 3;
}

/** What the server is sent. @param {FenceDraft} draft */
export function requestOf(draft) {
  return {
    name: draft.name.trim(),
    name_en: draft.nameEn.trim() || null,
    shape: draft.shape,
    dwell_s: draft.dwellMin === "" ? null : Math.round(Number(draft.dwellMin) * 60),
    ...(draft.id ? { version: draft.version } : {}),
  };
}

/** What the zone is to be; null where nothing about it changed. @param {FenceDraft} draft @param {any} fence as it is now */
export function zoneRequestOf(draft, fence) {
  const mode = draft.mode || null;
  const runners = mode && draft.runnerIds.length ? draft.runnerIds : null;
  const [was, wasFor] = [fence.zone?.mode ?? null, fence.zone?.runner_ids ?? null];
  if (mode === was && JSON.stringify(runners) === JSON.stringify(wasFor)) return null;
  return { mode, runner_ids: runners, version: fence.version };
}

/**
 * @param {FenceDraft} draft
 * @param {{runners: {id: string, name: string}[], onChange: () => void, onSave: () => void, onCancel: () => void}} does
 */
export function fenceForm(draft, { runners, onChange, onSave, onCancel }) {
  const field = (name, label, props) => textField(draft, name, label, props);
  const isCircle = draft.shape.kind === "circle";
  return h(
    "form",
    { class: "fence-form", key: `form-${draft.id ?? "new"}`, onsubmit: (event) => (event.preventDefault(), onSave()) },
    h("p", { class: "note" }, icon("pin"), t(isCircle ? "fence.tap_centre" : "fence.tap_corners")),
    field("name", t("fence.name"), { required: true, maxlength: 80 }),
    field("nameEn", t("fence.name_en"), { maxlength: 80 }),
    h(
      "div",
      { class: "field-row" },
      isCircle ? radiusField(draft, onChange) : cornerButtons(draft, onChange),
      field("dwellMin", t("fence.dwell_min"), { type: "number", min: 0.5, max: 1440, step: 0.5, placeholder: "–" }),
    ),
    zoneFields(draft, runners, onChange),
    h(
      "div",
      { class: "actions" },
      h("button", { class: "button primary grow", disabled: !isDrawn(draft) }, icon("check"), t("fence.save")),
      h("button", { type: "button", class: "button quiet", onclick: onCancel }, t("fence.cancel")),
    ),
  );
}

/** How orders in it find their runner, and who works there. */
function zoneFields(draft, runners, onChange) {
  const toggle = (id) => {
    draft.runnerIds = draft.runnerIds.includes(id)
      ? draft.runnerIds.filter((one) => one !== id)
      : [...draft.runnerIds, id];
    onChange();
  };
  return [
    h(
      "label",
      { class: "field" },
      h("span", {}, t("zone.title")),
      h(
        "select",
        {
          class: "input",
          name: "mode",
          value: draft.mode,
          onchange: (event) => ((draft.mode = event.target.value), onChange()),
        },
        h("option", { value: "" }, t("zone.none")),
        ["mixed", "dispatch", "grab"].map((mode) => h("option", { value: mode }, t(`zone.mode.${mode}`))),
      ),
    ),
    draft.mode &&
      h(
        "details",
        { class: "zone-runners", key: "zone-runners" },
        h("summary", {}, t("zone.runners"), ": ", draft.runnerIds.length || t("zone.everybody")),
        runners.map((one) =>
          h(
            "label",
            { class: "check", key: one.id },
            h("input", {
              type: "checkbox",
              checked: draft.runnerIds.includes(one.id),
              onchange: () => toggle(one.id),
            }),
            one.name,
          ),
        ),
      ),
  ];
}

function radiusField(draft, onChange) {
  const set = (event) => {
    const radius = Number(event.target.value);
    if (!(radius >= 5 && radius <= 5000)) return;
    draft.shape.radius_m = radius;
    onChange();
  };
  return h(
    "label",
    { class: "field" },
    h("span", {}, t("fence.radius_m")),
    h("input", {
      class: "input",
      name: "radius",
      type: "number",
      min: 5,
      max: 5000,
      required: true,
      value: String(draft.shape.radius_m),
      oninput: set,
    }),
  );
}

function cornerButtons(draft, onChange) {
  const { corners } = draft.shape;
  const undo = () => (corners.pop(), onChange());
  return h(
    "div",
    { class: "field" },
    h("span", {}, t("fence.corners", { n: corners.length })),
    h(
      "button",
      { type: "button", class: "button small", disabled: !corners.length, onclick: undo },
      icon("undo"),
      t("fence.corner_back"),
    ),
  );
}
