/** How old what one sees is, in words: live, a while ago, no signal, coming back. */

import { codeText, duration, t } from "../i18n.js";

/** Something is heard at least this often from a server that is there, seconds: what is older is told by its age. */
export const FRESH_S = 12;
export const SILENT_S = 60;

/**
 * @param {{state: import("../live.js").LiveState, silentS: number | null, closeCode: number | string | null}} live
 * @returns {string}
 */
export function staleness({ state, silentS, closeCode }) {
  if (state === "ended") return codeText("close", String(closeCode), t("live.ended"));
  if (silentS === null) return t(state === "offline" ? "live.offline" : "live.connecting");
  if (silentS >= SILENT_S) return t("live.silent", { age: duration(silentS) });
  if (state === "offline") return t("live.offline_since", { age: duration(silentS) });
  if (state !== "live") return t("live.reconnecting");
  return silentS < FRESH_S ? t("live.live") : t("live.ago", { age: duration(silentS) });
}
