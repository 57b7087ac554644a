/** How every page begins: language, who is here, which campus, its map and clock; sign-in or a refusal where needed. */

import { Api, ApiError } from "./api.js";
import { syncClock } from "./clock.js";
import { showFailure } from "./failure.js";
import { applyLanguage, setTimeZone } from "./i18n.js";
import { Live } from "./live.js";
import { showForbidden } from "./shell.js";
import { askToSignIn } from "./sign-in.js";

/**
 * @typedef {object} Session
 * @property {Api} api
 * @property {Live} live
 * @property {import("./types.js").Account} account
 * @property {import("./types.js").Campus} campus
 * @property {any} geojson
 */

/**
 * @param {object} options
 * @param {string} options.slot
 * @param {string} options.needs the permission without which the page is of no use
 * @param {boolean} [options.acks] the page reports fixes
 * @param {boolean} [options.worksHidden] the page is of use while nobody looks at it
 * @param {(session: Session) => void | Promise<void>} options.begin
 */
export async function boot({ slot, needs, acks = false, worksHidden = acks, begin }) {
  applyLanguage();
  const api = new Api(slot);
  const start = async () => {
    const account = await whoIsHere(api);
    if (!account) return askToSignIn({ api, slot, onSignedIn: attempt });
    if (!account.permissions.includes(needs)) return showForbidden({ api, account, needs, slot, retry: attempt });
    const [campus, geojson] = await Promise.all([
      api.get(`/campuses/${account.campus_id}`),
      api.get(`/campuses/${account.campus_id}/map`),
    ]);
    syncClock(campus.now_ms, campus.time_scale);
    setTimeZone(campus.time_zone);
    api.onSignedOut = () => location.reload();
    const live = new Live({ api, acks, worksHidden });
    await begin({ api, live, account, campus, geojson });
    document.body.classList.add("is-ready");
  };
  const attempt = async () => {
    try {
      await start();
    } catch (error) {
      console.error(error);
      const isOutage = error instanceof ApiError && error.isOutage;
      showFailure({ error, isOutage, retry: attempt });
    }
  };
  await attempt();
}

/** The account of this page's session; null: nobody is signed in. A one-time code in the fragment comes first. */
async function whoIsHere(api) {
  const code = takeCode();
  if (code) {
    try {
      return api.adopt(await api.post("/auth/exchange", { code }));
    } catch (error) {
      if (!(error instanceof ApiError) || error.isOutage) {
        keepCode(code);
        throw error;
      }
      // A spent code may be a reload: perhaps the session that it began is still here.
      console.warn("link:", error.code);
    }
  }
  try {
    return await api.get("/me");
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return null;
    throw error;
  }
}

/** Out of the address bar at once: it must not be bookmarked, shared or photographed. */
function takeCode() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const code = fragment.get("code");
  if (code) {
    fragment.delete("code");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + (rest ? `#${rest}` : ""));
  }
  return code;
}

/** The server could not be reached: the code is unspent, and the retry needs it. */
function keepCode(code) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  fragment.set("code", code);
  history.replaceState(null, "", `${location.pathname}#${fragment}`);
}
