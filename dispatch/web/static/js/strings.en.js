/** English texts of all pages, by key. */

import { codes } from "./strings/en/codes.js";
import { common } from "./strings/en/common.js";
import { console } from "./strings/en/console.js";
import { coupons } from "./strings/en/coupons.js";
import { credit } from "./strings/en/credit.js";
import { fences } from "./strings/en/fences.js";
import { pay } from "./strings/en/pay.js";
import { money } from "./strings/en/money.js";
import { shifts } from "./strings/en/shifts.js";
import { track } from "./strings/en/track.js";
import { why } from "./strings/en/why.js";
import { runner } from "./strings/en/runner.js";
import { errors } from "./strings/en/errors.js";
import { withdraw } from "./strings/en/withdraw.js";

/** @type {Record<string, string>} */
export const strings = {
  ...codes,
  ...common,
  ...console,
  ...coupons,
  ...credit,
  ...fences,
  ...pay,
  ...money,
  ...shifts,
  ...track,
  ...why,
  ...runner,
  ...errors,
  ...withdraw,
};
