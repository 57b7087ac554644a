/** A runner's week at the console: looked at and planned in a dialog. */

import { h, render } from "../dom.js";
import { t } from "../i18n.js";
import { ask } from "../shell.js";
import { Week } from "../week.js";

/** @param {{api: import("../api.js").Api, runner: {id: string, name: string}}} parts */
export function openWeek({ api, runner }) {
  const body = h("div", { class: "stack runner-week" });
  const week = new Week({
    api,
    path: `/accounts/${runner.id}/plan`,
    isOwn: false,
    paint: () => render(body, week.view()),
  });
  week.paint();
  week.load();
  return ask({ title: t("runner.week", { name: runner.name }), content: () => body });
}
