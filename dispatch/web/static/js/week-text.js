/** A timetable's times, weeks and weekdays as text, and back. */

/** @param {number} minute of the day; 1440 is midnight at its end */
export function clockOf(minute) {
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
}

/** @param {string} text `08:30` @returns {number | null} */
export function minuteOf(text) {
  const found = /^(\d{1,2}):(\d{2})$/.exec(text);
  const minute = found ? Number(found[1]) * 60 + Number(found[2]) : NaN;
  return found && Number(found[2]) < 60 && minute <= 1440 ? minute : null;
}

/** @param {number[]} weeks @returns {string} `1-8,10` */
export function weeksText(weeks) {
  const parts = [];
  for (const week of weeks) {
    const last = parts.at(-1);
    if (last && last[1] === week - 1) last[1] = week;
    else parts.push([week, week]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}

/** @param {string} text @returns {number[] | null} null where it is no list of weeks */
export function weeksOf(text) {
  const weeks = new Set();
  for (const part of text.split(/[,，、]/).filter((one) => one.trim())) {
    const found = /^\s*(\d{1,2})(?:\s*[-–]\s*(\d{1,2}))?\s*$/.exec(part);
    const [first, last] = found ? [Number(found[1]), Number(found[2] ?? found[1])] : [0, 0];
    if (first < 1 || last > 53 || first > last) return null;
    for (let week = first; week <= last; week += 1) weeks.add(week);
  }
  return [...weeks].sort((a, b) => a - b);
}
