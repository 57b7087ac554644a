/** English texts about proving who one is: one-time codes, ways to pay that are set up. */

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
  "bind.first": "Set up {channel}",
  "bind.title": "Set up {channel}",
  "bind.go": "Set up",
  "bind.done": "{channel} is set up.",
  "bind.token.text": "Type the authorisation code that the card centre gave you. It is neither the card's number nor a password.",
  "bind.token.label": "Authorisation code",
  "bind.token.agree": "I agree to debits from this card for what I order. I can end this at any time.",
  "bind.wechat.elsewhere": "{channel} works inside WeChat only: open this page there, or pay another way.",
  "bind.page.done": "You can pay with it now.",
  "bind.page.failed": "That did not work. Try again, or pay another way.",
  "bind.undo": "Forget {channel}",
  "bind.undone": "{channel} is forgotten.",
};
