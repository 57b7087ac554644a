/** The order being written, kept on the device until the server has it: a lost network loses no order. */

import { newKey } from "../api.js";
import { read, remember } from "../i18n.js";

const REMEMBERED = "dispatch.draft";
const RECENT = "dispatch.places";
const RECENT_MAX = 6;

/**
 * @typedef {{place_id?: string, lat: number, lon: number, label: string}} Place
 * @typedef {object} Draft
 * @property {number} step 1 where, 2 details and price, 3 pay
 * @property {string} type
 * @property {Record<string, Place | null>} stops by role
 * @property {Record<string, {floor: number, detail: string}>} doors by role
 * @property {string} description
 * @property {number} weight_g
 * @property {number} volume_ml
 * @property {number} wait_min
 * @property {number} goods_cap_fen
 * @property {string} contact_name
 * @property {string} contact_phone
 * @property {string | null} channel
 * @property {string | null} wish_runner_id who is asked first
 * @property {string | null} coupon_id the one that is used
 * @property {boolean} isWithoutCoupon the student wants to use none
 * @property {string} key idempotency key of the order as it stands
 * @property {boolean} isHeld it was sent, and the server could not be reached
 * @property {any} heldBody exactly what was sent then
 */

/** @returns {Draft} */
export function emptyDraft(type = "") {
  return {
    step: 1,
    type,
    stops: {},
    doors: {},
    description: "",
    weight_g: 1000,
    volume_ml: 3000,
    wait_min: 20,
    goods_cap_fen: 0,
    contact_name: "",
    contact_phone: "",
    channel: null,
    wish_runner_id: null,
    coupon_id: null,
    isWithoutCoupon: false,
    key: newKey(),
    isHeld: false,
    heldBody: null,
  };
}

/** @returns {Draft | null} */
export function loadDraft() {
  try {
    const draft = JSON.parse(read(REMEMBERED) ?? "null");
    return draft ? { ...emptyDraft(), ...draft } : null;
  } catch {
    return null;
  }
}

export function saveDraft(draft) {
  remember(REMEMBERED, draft ? JSON.stringify(draft) : null);
}

/** Places used before, newest first. @returns {Place[]} */
export function recentPlaces() {
  try {
    return JSON.parse(read(RECENT) ?? "[]");
  } catch {
    return [];
  }
}

export function rememberPlace(place) {
  const others = recentPlaces().filter((known) => known.label !== place.label);
  remember(RECENT, JSON.stringify([place, ...others].slice(0, RECENT_MAX)));
}

/** What POST /quotes takes. @param {Draft} draft @param {import("../types.js").OrderType} type */
export function quoteRequest(draft, type) {
  return {
    type_code: draft.type,
    weight_g: draft.weight_g,
    volume_ml: type.stops.length > 1 ? draft.volume_ml : 0,
    wait_min: type.is_timed ? draft.wait_min : 0,
    goods_cap_fen: type.has_goods ? draft.goods_cap_fen : 0,
    coupon_id: draft.coupon_id,
    stops: type.stops.map((role) => stopRequest(draft, role)),
  };
}

function stopRequest(draft, role) {
  const place = draft.stops[role];
  const door = draft.doors[role] ?? { floor: 0, detail: "" };
  const isLast = role !== "pickup";
  const where = place.place_id ? { place_id: place.place_id } : { lat: place.lat, lon: place.lon };
  return {
    ...where,
    label: place.label.slice(0, 80),
    floor: door.floor,
    detail: door.detail,
    contact_name: isLast ? draft.contact_name : "",
    contact_phone: isLast && draft.contact_phone ? draft.contact_phone : null,
  };
}

/** Whether fetching and bringing name one and the same place. */
export function isSamePlace(draft, type) {
  if (!type || type.stops.length < 2) return false;
  const [a, b] = type.stops.map((role) => draft.stops[role]);
  return Boolean(a && b) && (a.place_id ? a.place_id === b.place_id : a.lat === b.lat && a.lon === b.lon);
}

/** Whether everything that a quote needs is there. */
export function isQuotable(draft, type) {
  return Boolean(type) && type.stops.every((role) => draft.stops[role]) && !isSamePlace(draft, type);
}
