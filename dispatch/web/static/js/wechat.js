/** The page inside WeChat: whether it is, and asking WeChat for what only it can do. */

export const isInWechat = () => /MicroMessenger/i.test(navigator.userAgent);

/**
 * Ask WeChat. What it answers proves nothing: the server asks the provider itself.
 * @param {string} name @param {any} words @param {() => void} onDone
 */
export async function askWechat(name, words, onDone) {
  const bridge = await bridgeOf("WeixinJSBridgeReady", "WeixinJSBridge");
  bridge.invoke(name, words, () => onDone());
}

/** The bridge that an app puts into its pages, some time after they have loaded. @param {string} event @param {string} name */
export const bridgeOf = (event, name) =>
  window[name]
    ? Promise.resolve(window[name])
    : new Promise((resolve) => document.addEventListener(event, () => resolve(window[name]), { once: true }));
