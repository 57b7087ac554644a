/** Chinese texts of all pages, by key. */

import { codes } from "./strings/zh-CN/codes.js";
import { common } from "./strings/zh-CN/common.js";
import { console } from "./strings/zh-CN/console.js";
import { coupons } from "./strings/zh-CN/coupons.js";
import { credit } from "./strings/zh-CN/credit.js";
import { fences } from "./strings/zh-CN/fences.js";
import { pay } from "./strings/zh-CN/pay.js";
import { money } from "./strings/zh-CN/money.js";
import { shifts } from "./strings/zh-CN/shifts.js";
import { track } from "./strings/zh-CN/track.js";
import { why } from "./strings/zh-CN/why.js";
import { runner } from "./strings/zh-CN/runner.js";
import { errors } from "./strings/zh-CN/errors.js";
import { withdraw } from "./strings/zh-CN/withdraw.js";

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
