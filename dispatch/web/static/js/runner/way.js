/** The way that is drawn on the runner's map. */

/** The way up to the next stop: what comes after it is for later. */
export function cutAt(path, stop) {
  if (!stop) return path;
  if (!path.length) return [[stop.lat, stop.lon]];
  let best = 0;
  let bestD = Infinity;
  path.forEach(([lat, lon], index) => {
    const d = (lat - stop.lat) ** 2 + (lon - stop.lon) ** 2;
    if (d <= bestD) [best, bestD] = [index, d];
  });
  return [...path.slice(0, best + 1), [stop.lat, stop.lon]];
}
