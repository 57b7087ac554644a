/** English texts about one-time codes and what needs one, by key. */

/** @type {Record<string, string>} */
export const codes = {
  "code.title": "A code for this",
  "code.sent": "A code is on its way to the phone of your account. It lasts 5 minutes.",
  "code.sent_again": "Another code is on its way.",
  "code.label": "Six digits",
  "code.give": "Confirm",
  "code.again": "Send another code",
  "code.wrong": "Not this code, or it is too old.",
  "error.code_needed": "This needs a code sent to your phone.",
  "refund.give": "Refund",
  "refund.title": "Give money back to the student",
  "refund.amount": "How much (yuan), at most {most}",
  "refund.begun": "{amount} is on its way back.",
};
