/**
 * Building and refreshing the page: elements from plain calls, and a morph that keeps focus, scroll and typed text.
 * Nothing here ever parses markup, so a name that somebody typed can never become an element.
 */

const SVG_NS = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "circle", "ellipse", "rect", "line", "polyline", "polygon", "text"]);
/** Set as properties: their attributes only hold the first value. */
const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "open", "tabIndex"]);

/** Attributes that a morph leaves alone: custom properties are set one by one, and `open` is a property. */
const OWNED = new Set(["style", "open"]);

/** One listener per kind of event dispatches to whatever handler the element has now: a morph only swaps handlers. */
function dispatch(event) {
  event.currentTarget.handlers?.[event.type]?.(event);
}

/**
 * @param {string} tag
 * @param {Record<string, any> | null} [props] `class`, attributes, `onclick`-style handlers, `css` (custom properties),
 *   `key` (identity among siblings), `own` (children belong to somebody else: a morph leaves them alone)
 * @param {...any} children nodes, text, numbers, arrays of them; null and false are left out
 * @returns {HTMLElement & SVGElement}
 */
export function h(tag, props, ...children) {
  const element = /** @type {any} */ (
    SVG_TAGS.has(tag) ? document.createElementNS(SVG_NS, tag) : document.createElement(tag)
  );
  for (const [name, value] of Object.entries(props ?? {})) setProp(element, name, value);
  append(element, children);
  // A select takes its value only once its options are there.
  if (tag === "select" && props?.value !== undefined) element.value = props.value;
  return element;
}

function setProp(element, name, value) {
  if (name === "key") element.morphKey = value;
  else if (name === "own") element.isOwn = Boolean(value);
  else if (name === "css") {
    element.customProperties = value;
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, String(text));
  } else if (name.startsWith("on")) {
    if (!value) return;
    const type = name.slice(2);
    element.handlers ??= {};
    if (!(type in element.handlers)) element.addEventListener(type, dispatch);
    element.handlers[type] = value;
  } else if (PROPERTIES.has(name)) {
    element.boundProps ??= {};
    element.boundProps[name] = value;
    element[name] = value;
  } else if (value !== null && value !== undefined && value !== false) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child !== null && child !== undefined && child !== false) {
      parent.append(child instanceof Node ? child : String(child));
    }
  }
}

/**
 * Make `container` show `children`, changing only what differs.
 * @param {Element} container
 * @param {...any} children
 */
export function render(container, ...children) {
  const fresh = document.createElement("div");
  append(fresh, children);
  morphChildren(container, fresh);
}

function isSameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.morphKey === b.morphKey;
}

function morphChildren(current, fresh) {
  const keyed = new Map();
  for (const child of current.childNodes) {
    if (/** @type {any} */ (child).morphKey !== undefined) keyed.set(/** @type {any} */ (child).morphKey, child);
  }
  const wanted = new Set([...fresh.childNodes].map((child) => /** @type {any} */ (child).morphKey));
  let cursor = current.firstChild;
  for (const next of [...fresh.childNodes]) {
    const key = /** @type {any} */ (next).morphKey;
    // Drop what is gone before moving what stays: a moved element loses its focus.
    while (cursor && /** @type {any} */ (cursor).morphKey !== undefined && !wanted.has(cursor.morphKey)) {
      const after = cursor.nextSibling;
      cursor.remove();
      cursor = after;
    }
    let match = null;
    if (key !== undefined) {
      match = keyed.get(key) ?? null;
      if (match && !isSameKind(match, next)) match = null;
    } else if (cursor && isSameKind(cursor, next)) match = cursor;
    if (match) {
      if (match === cursor) cursor = cursor.nextSibling;
      else current.insertBefore(match, cursor);
      morph(match, next);
    } else {
      current.insertBefore(next, cursor);
    }
  }
  while (cursor) {
    const after = cursor.nextSibling;
    cursor.remove();
    cursor = after;
  }
}

function morph(current, fresh) {
  if (current.nodeType !== Node.ELEMENT_NODE) {
    if (current.nodeValue !== fresh.nodeValue) current.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...current.attributes]) {
    if (!OWNED.has(name) && !fresh.hasAttribute(name)) current.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!OWNED.has(name) && current.getAttribute(name) !== value) current.setAttribute(name, value);
  }
  for (const [property, text] of Object.entries(fresh.customProperties ?? {})) {
    current.style.setProperty(property, String(text));
  }
  for (const type of Object.keys(current.handlers ?? {})) {
    if (!fresh.handlers || !(type in fresh.handlers)) current.handlers[type] = undefined;
  }
  for (const [type, handler] of Object.entries(fresh.handlers ?? {})) setProp(current, `on${type}`, handler);
  if (!fresh.isOwn) morphChildren(current, fresh);
  for (const [name, value] of Object.entries(fresh.boundProps ?? {})) {
    // What somebody is typing is theirs.
    const isTyping = (name === "value" || name === "checked") && current === document.activeElement;
    // So is what they have folded open or shut, until the page itself wants it otherwise.
    const isFolded = name === "open" && current.boundProps?.open === value;
    if (!isTyping && !isFolded && current[name] !== value) current[name] = value;
  }
  current.boundProps = fresh.boundProps;
}

/** @param {string} selector @returns {HTMLElement} */
export function $(selector) {
  const found = document.querySelector(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return /** @type {HTMLElement} */ (found);
}

/** Run `paint` at most once per frame, and no more often than every `gapMs`. */
export function coalesce(paint, gapMs = 0) {
  let isWaiting = false;
  let paintedAt = -Infinity;
  const run = () => {
    isWaiting = false;
    paintedAt = performance.now();
    paint();
  };
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    const wait = paintedAt + gapMs - performance.now();
    // A hidden tab gets no animation frames, but its state must stay true.
    if (wait > 16 || document.hidden) setTimeout(run, Math.max(wait, 16));
    else requestAnimationFrame(run);
  };
}
