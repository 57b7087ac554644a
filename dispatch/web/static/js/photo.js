/** Photos: shown from the session's own fetch, and made small before they are sent. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const LONGEST_PX = 1280;
const QUALITY = 0.8;
const addresses = new Map();

/** @param {import("./api.js").Api} api @param {string} id */
export function photo(api, id) {
  const image = h("img", {
    class: "photo",
    alt: t("people.photo"),
    key: id,
    own: true,
    src: addresses.get(id) ?? null,
  });
  if (!addresses.has(id)) {
    api.picture(`/photos/${id}`).then(
      (address) => {
        addresses.set(id, address);
        for (const shown of document.querySelectorAll("img.photo")) {
          if (/** @type {any} */ (shown).morphKey === id) shown.setAttribute("src", address);
        }
      },
      (error) => console.warn("photo:", error.code),
    );
  }
  return image;
}

/** A camera's picture, scaled down: campus networks are slow and nobody needs 12 megapixels of a doorstep. */
export async function shrink(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, LONGEST_PX / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(bitmap.width * scale);
    canvas.height = Math.round(bitmap.height * scale);
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? file), "image/jpeg", QUALITY));
  } catch {
    return file;
  }
}
