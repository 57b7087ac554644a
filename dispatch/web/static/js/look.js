/**
 * Theme, text size and language before the first paint: a page must not flash white at night.
 *
 * A classic script in the head, since modules run after the page is painted; `shell.js` changes the choices.
 */
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };
  const apply = () => {
    const root = document.documentElement;
    root.dataset.theme = read("dispatch.theme") ?? (dark.matches ? "dark" : "light");
    root.dataset.text = read("dispatch.text") ?? "normal";
    root.lang = read("dispatch.language") ?? (/^zh/i.test(navigator.language) ? "zh-CN" : "en");
  };
  dark.addEventListener("change", apply);
  addEventListener("look", apply);
  apply();
})();
