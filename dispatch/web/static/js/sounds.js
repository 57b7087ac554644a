/** Short tones made on the spot: one per kind of news, none before the first touch (browsers forbid it). */

import { read, remember } from "./i18n.js";

const REMEMBERED = "dispatch.sound";
/** Frequencies in hertz, played one after the other. */
const TUNES = {
  money_alert: [220, 220, 220],
  money_alarm: [220, 220, 220],
  order_late: [440, 330],
  order_placed: [660],
  offer: [660, 880, 990],
  good: [660, 990],
  other: [520],
};
const NOTE_S = 0.14;
let context = null;

export function isSoundOn() {
  return read(REMEMBERED) !== "off";
}

export function setSound(isOn) {
  remember(REMEMBERED, isOn ? null : "off");
}

/** @param {keyof typeof TUNES | string} kind */
export function play(kind) {
  if (!isSoundOn() || !navigator.userActivation?.hasBeenActive) return;
  context ??= new AudioContext();
  const notes = TUNES[kind] ?? TUNES.other;
  notes.forEach((frequency, index) => {
    const startsAt = context.currentTime + index * NOTE_S;
    const oscillator = context.createOscillator();
    const volume = context.createGain();
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(0.0001, startsAt);
    volume.gain.exponentialRampToValueAtTime(0.12, startsAt + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, startsAt + NOTE_S);
    oscillator.connect(volume).connect(context.destination);
    oscillator.start(startsAt);
    oscillator.stop(startsAt + NOTE_S);
  });
}
