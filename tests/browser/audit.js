() => {
  const complaints = [];
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const describe = (element) =>
    `${element.tagName.toLowerCase()}.${element.className?.baseVal ?? element.className} "${(element.textContent ?? "").trim().slice(0, 24)}"`;

  for (const control of document.querySelectorAll("button, a[href], input, select, textarea, [role=option], summary")) {
    if (!isShown(control) || control.type === "hidden") continue;
    const labels = [...(control.labels ?? [])].map((label) => label.textContent).join("");
    const name = control.getAttribute("aria-label") || labels || control.textContent || control.getAttribute("title");
    if (!name?.trim()) complaints.push(`no name: ${describe(control)}`);
  }
  for (const image of document.querySelectorAll("img, [role=img]")) {
    if (isShown(image) && !image.getAttribute("alt") && !image.getAttribute("aria-label"))
      complaints.push(`no text: ${describe(image)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) complaints.push(`id twice: ${id}`);
  if (document.querySelectorAll("main").length !== 1) complaints.push("not exactly one main");

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      const colour = parse(style.backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (
      !texts.currentNode.data.trim() ||
      !isShown(element) ||
      element.closest(".map, .sr-only, .skip, :disabled, option")
    )
      continue;
    const style = getComputedStyle(element);
    const under = ground(element);
    if (!under) continue;
    const [light, dark] = [luminance(parse(style.color)), luminance(under)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5) - 0.02) complaints.push(`contrast ${ratio.toFixed(2)}: ${describe(element)}`);
  }
  return complaints;
};
