/** The page inside WeChat: whether it is, and asking WeChat for what only it can do. */

/** Real milliseconds for which an app's bridge is waited for. */
const BRIDGE_MS = 6000;

export const isInWechat = () => /MicroMessenger/i.test(navigator.userAgent);

/**
 * Ask WeChat; how it went: "ok", "cancel", or anything else. It proves nothing: the server asks the provider itself.
 * @param {string} name @param {any} words @returns {Promise<string>}
 */
export async function askWechat(name, words) {
  const bridge = await bridgeOf("WeixinJSBridgeReady", "WeixinJSBridge");
  if (!bridge) return "no_bridge";
  return new Promise((resolve) =>
    bridge.invoke(name, words, (said) => resolve(String(said?.err_msg ?? "").split(":")[1] ?? "")),
  );
}

/**
 * The bridge that an app puts into its pages, some time after they have loaded; null when it does not.
 * @param {string} event @param {string} name @returns {Promise<any>}
 */
export function bridgeOf(event, name) {
  if (window[name]) return Promise.resolve(window[name]);
  return new Promise((resolve) => {
    const end = () => {
      document.removeEventListener(event, end);
      clearTimeout(timer);
      resolve(window[name] ?? null);
    };
    const timer = setTimeout(end, BRIDGE_MS);
    document.addEventListener(event, end);
  });
}
