/** The address holds the view, so that it can be reloaded, kept and sent to a colleague. */

import { FILTERS } from "./queue.js";
import { TABS } from "./order-panel.js";

/** @typedef {{orderId: string | null, runnerId: string | null, filter: string, text: string, tab: string, pane: string, isOffShown: boolean}} View */

/** @returns {View} */
export function readView() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const oneOf = (name, known) => (known.includes(fragment.get(name)) ? fragment.get(name) : known[0]);
  return {
    orderId: fragment.get("order"),
    runnerId: fragment.get("runner"),
    filter: oneOf("filter", FILTERS),
    text: fragment.get("q") ?? "",
    tab: oneOf("tab", TABS),
    pane: fragment.has("order") ? "order" : "queue",
    isOffShown: fragment.has("off"),
  };
}

/** @param {View} view */
export function writeView(view) {
  const fragment = new URLSearchParams();
  if (view.orderId) fragment.set("order", view.orderId);
  if (view.runnerId) fragment.set("runner", view.runnerId);
  if (view.filter !== FILTERS[0]) fragment.set("filter", view.filter);
  if (view.text) fragment.set("q", view.text);
  if (view.tab !== TABS[0]) fragment.set("tab", view.tab);
  if (view.isOffShown) fragment.set("off", "1");
  const text = fragment.toString();
  history.replaceState(null, "", location.pathname + (text ? `#${text}` : ""));
}
