/** Licences and insurances of the campus and of the merchant at a stop, each a link to its document. */

import { h } from "../dom.js";
import { pick, t } from "../i18n.js";
import { icon } from "../icons.js";

/**
 * @param {import("../types.js").Campus} campus
 * @param {(string | null | undefined)[]} placeIds where the errand goes
 */
export function assurances(campus, placeIds) {
  const shown = campus.assurances.filter(({ place_id: placeId }) => !placeId || placeIds.includes(placeId));
  if (!shown.length) return null;
  return h(
    "ul",
    { class: "assurances", key: "assurances", "aria-label": t("assurance.title") },
    shown.map((each) =>
      h(
        "li",
        { key: `${each.kind} ${each.url}` },
        h(
          "a",
          { class: "pill", href: each.url, target: "_blank", rel: "noopener noreferrer" },
          icon("shield"),
          h("span", { class: "sr-only" }, `${t(`assurance.${each.kind}`)}: `),
          pick(each, "title"),
        ),
      ),
    ),
  );
}
