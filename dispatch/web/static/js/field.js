/** A field of a form that is bound to a draft. */

import { h } from "./dom.js";

/** @param {Record<string, any>} draft @param {string} name of the draft's text @param {string} label @param {object} [props] of the input */
export function textField(draft, name, label, props) {
  return h(
    "label",
    { class: "field" },
    h("span", {}, label),
    h("input", {
      class: "input",
      name,
      value: draft[name],
      oninput: (event) => (draft[name] = event.target.value),
      ...props,
    }),
  );
}
