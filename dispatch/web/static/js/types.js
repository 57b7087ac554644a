/** Shapes that the server answers with, for editors and readers; the full description is /openapi.json. */

/**
 * @typedef {object} Account
 * @property {string} id
 * @property {string} name
 * @property {string} phone
 * @property {string} campus_id
 * @property {string} campus_name
 * @property {string[]} roles
 * @property {string[]} permissions
 * @property {string} runner_status
 *
 * @typedef {object} Campus
 * @property {string} id
 * @property {string} name
 * @property {number} lat
 * @property {number} lon
 * @property {boolean} is_open
 * @property {string} opens
 * @property {string} closes
 * @property {string} time_zone
 * @property {string} mode
 * @property {OrderType[]} types
 * @property {number} now_ms
 * @property {number} time_scale
 * @property {boolean} has_job_hint
 * @property {{kind: string, title_zh: string, title_en: string, url: string, place_id: string | null}[]} assurances
 *
 * @typedef {object} OrderType
 * @property {string} code
 * @property {string} name_zh
 * @property {string} name_en
 * @property {string[]} stops roles in the order in which they are visited
 * @property {number} base_fen
 * @property {boolean} has_goods
 * @property {boolean} is_timed
 *
 * @typedef {object} Stop
 * @property {"pickup" | "dropoff" | "place"} role
 * @property {number} lat
 * @property {number} lon
 * @property {string} label
 * @property {number} floor
 * @property {string | null} [place_id]
 * @property {string} [detail]
 *
 * @typedef {object} Order
 * @property {string} id
 * @property {string} code the last six characters, for people
 * @property {string} type_code
 * @property {string} status
 * @property {string | null} task_status
 * @property {number} version
 * @property {Quote} quote
 * @property {Stop[]} stops
 * @property {string} description
 * @property {number} placed_at_ms
 * @property {number} promised_at_ms
 * @property {{step: string, at_ms: number | null}[]} steps
 * @property {{from_ms: number, to_ms: number, at_ms: number, location_age_ms: number | null, warnings: string[]} | null} eta
 * @property {{role: string, state: "near" | "there", since_ms: number, is_confirmed: boolean} | null} near
 * @property {{expected_ms: number, told_ms: number} | null} delay
 * @property {RunnerCard | null} runner
 * @property {Payment | null} payment
 * @property {string | null} pin
 * @property {boolean} is_late
 *
 * @typedef {object} Quote
 * @property {{kind: string, label_zh: string, label_en: string, amount_fen: number, payer: string}[]} lines
 * @property {number} service_fen
 * @property {number} goods_cap_fen
 * @property {number} total_fen
 * @property {number} distance_m
 * @property {number} duration_s
 * @property {number} arrive_from_ms
 * @property {number} arrive_by_ms
 * @property {number} discount_fen
 * @property {string | null} coupon_id
 * @property {Coupon[]} [coupons] what could be used, of a quote that was asked for
 *
 * @typedef {object} Coupon
 * @property {string} id
 * @property {"late" | "payment_failed" | "off_peak"} reason
 * @property {number} amount_fen
 * @property {string} payer
 * @property {"available" | "reserved" | "used" | "expired"} state
 * @property {string} granted_for the order that it was given for
 * @property {number} granted_at_ms
 * @property {number} valid_until_ms
 * @property {string | null} order_id the order that has it
 *
 * @typedef {object} RunnerCard
 * @property {string} id
 * @property {string} name
 * @property {string} vehicle
 * @property {number} credit
 * @property {number | null} stars
 * @property {string} phone
 * @property {[number, number, number] | null} position
 * @property {boolean} has_badge of the good level of credit
 *
 * @typedef {object} Payment
 * @property {"pending" | "processing" | "success" | "failed" | "suspicious"} state
 * @property {string | null} channel
 * @property {number} amount_fen
 * @property {{kind: string, [name: string]: any} | null} credential as the channel gave it
 * @property {"qr" | "redirect" | "form" | "jsapi" | "app" | "sandbox" | null} kind what is done with the credential
 * @property {number | null} expires_at_ms
 * @property {string | null} reason
 * @property {number} part the part that is to be paid now
 * @property {number} parts of how many
 * @property {string | null} name_zh the channel's
 * @property {string | null} name_en the channel's
 * @property {{channel: string, name_zh: string, name_en: string, reason: string | null} | null} passed_over what was
 *   chosen, when another one is paid with
 * @property {{decision: "challenge" | "hold" | "refuse", code: string, challenge: "face" | "code" | null, demo_proof: string | null} | null} risk
 *
 * @typedef {object} CreditLine
 * @property {string} id
 * @property {number} number
 * @property {number} at_ms
 * @property {number} delta
 * @property {number} balance the score after it
 * @property {string} reason
 * @property {string | null} order_id
 * @property {Record<string, any>} facts
 * @property {string} note
 * @property {string} actor
 * @property {boolean} is_reversed
 * @property {boolean} can_appeal
 * @property {{id: string, at_ms: number, text: string, status: "open" | "granted" | "refused", answer: string} | null} appeal
 *
 * @typedef {object} CreditView
 * @property {string} account_id
 * @property {string} name
 * @property {number} credit
 * @property {"good" | "normal" | "warned" | "limited" | "removed"} level
 * @property {boolean} has_badge
 * @property {number} acceptance_percent
 * @property {{level: string, from_score: number, max_tasks: number, most_value_fen: number | null, hall_delay_s: number, may_take: boolean}[]} levels
 * @property {{reason: string, delta: number, daily: number | null, facts: Record<string, any>}[]} rules
 * @property {CreditLine[]} lines
 * @property {number | null} next_before
 */

export {};
