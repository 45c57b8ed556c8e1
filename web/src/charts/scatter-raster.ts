// Points into pixels: a scatter plot of all latents, drawn by the processor into an image, some milliseconds for 70,000 points.
//
// In place of a WebGL library: regl compiles its commands with Function, which script-src 'self' refuses, and here a machine without a
// graphics card draws the same picture as one with. Each class has a colour; where points overlap the colour becomes denser.

export interface View {
  /** Data units at the left, right, bottom and top edge. */
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

export interface Points {
  /** f64 [n]; a point with a coordinate that is not finite is not drawn. */
  x: Float64Array;
  y: Float64Array;
  /** Index into the colours; u8 [n]. Higher ones are drawn over lower ones. */
  group: Uint8Array;
}

export const SCATTER_LIMITS = {
  /** Opacity of a single point, by the number of points drawn: few are solid, many are mist. */
  opacity: { few: 0.9, many: 0.35, fewAt: 500, manyAt: 20_000 },
  /** Half of a point's side, px of the screen. */
  radius: 1.5,
  /** How near the pointer must be to a point, px. */
  reach: 12,
} as const;

/**
 * RGBA of the plot, u8 [height · width · 4], top row first; transparent where there is nothing.
 *
 * colours: [red, green, blue] of each group, 0 … 255. scale: device pixels of one screen pixel.
 */
export function drawPoints(
  points: Points,
  options: {
    view: View;
    width: number;
    height: number;
    scale: number;
    colours: readonly (readonly [number, number, number])[];
  },
): Uint8ClampedArray<ArrayBuffer> {
  const { view, width, height, scale, colours } = options;
  const image = new Uint8ClampedArray(width * height * 4);
  const { radius } = SCATTER_LIMITS;
  const reach = Math.max(0, Math.round(radius * scale) - 1);
  const opacity = pointOpacity(points.x.length);
  const [xScale, yScale] = [width / (view.x1 - view.x0), height / (view.y1 - view.y0)];
  for (let group = 0; group < colours.length; group += 1) {
    const [red, green, blue] = colours[group];
    for (let i = 0; i < points.x.length; i += 1) {
      if (points.group[i] !== group) continue;
      const px = Math.floor((points.x[i] - view.x0) * xScale);
      const py = Math.floor((view.y1 - points.y[i]) * yScale);
      // Also false for what is not finite.
      if (!(px >= -reach && px < width + reach && py >= -reach && py < height + reach)) continue;
      const [bottom, right] = [Math.min(height - 1, py + reach), Math.min(width - 1, px + reach)];
      for (let y = Math.max(0, py - reach); y <= bottom; y += 1) {
        for (let x = Math.max(0, px - reach); x <= right; x += 1) {
          blend(image, (y * width + x) * 4, { red, green, blue, opacity });
        }
      }
    }
  }
  return image;
}

/** The drawn point nearest to a place of the screen, or −1 when none is within reach. x, y, width, height in screen px. */
export function nearestPoint(
  points: Points,
  options: { view: View; width: number; height: number; x: number; y: number },
): number {
  const { view, width, height, x, y } = options;
  const [xScale, yScale] = [width / (view.x1 - view.x0), height / (view.y1 - view.y0)];
  let best = SCATTER_LIMITS.reach ** 2;
  let nearest = -1;
  for (let i = 0; i < points.x.length; i += 1) {
    const dx = (points.x[i] - view.x0) * xScale - x;
    const dy = (view.y1 - points.y[i]) * yScale - y;
    const distance = dx * dx + dy * dy;
    if (distance < best) {
      best = distance;
      nearest = i;
    }
  }
  return nearest;
}

/** The view after a zoom by `factor` (> 1: closer) that keeps the point (x, y) in data units where it is. */
export function zoomAt(view: View, { x, y, factor }: { x: number; y: number; factor: number }): View {
  return {
    x0: x - (x - view.x0) / factor,
    x1: x + (view.x1 - x) / factor,
    y0: y - (y - view.y0) / factor,
    y1: y + (view.y1 - y) / factor,
  };
}

/** The view moved by shares of its own size. */
export function panBy(view: View, { right, up }: { right: number; up: number }): View {
  const [dx, dy] = [(view.x1 - view.x0) * right, (view.y1 - view.y0) * up];
  return { x0: view.x0 + dx, x1: view.x1 + dx, y0: view.y0 + dy, y1: view.y1 + dy };
}

/** Round numbers inside [from, to], about `count` of them. */
export function niceTicks(from: number, to: number, count: number): number[] {
  const raw = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * (raw / power >= 5 ? 10 : raw / power >= 2 ? 5 : raw / power >= 1 ? 2 : 1);
  const first = Math.ceil(from / step);
  const last = Math.floor(to / step);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

function pointOpacity(nPoints: number): number {
  const { few, many, fewAt, manyAt } = SCATTER_LIMITS.opacity;
  const share = (Math.log(nPoints + 1) - Math.log(fewAt)) / (Math.log(manyAt) - Math.log(fewAt));
  return few + (many - few) * Math.min(1, Math.max(0, share));
}

/** Source over, not premultiplied. */
function blend(
  image: Uint8ClampedArray,
  at: number,
  { red, green, blue, opacity }: { red: number; green: number; blue: number; opacity: number },
): void {
  const below = image[at + 3] / 255;
  const alpha = opacity + below * (1 - opacity);
  const share = opacity / alpha;
  image[at] += (red - image[at]) * share;
  image[at + 1] += (green - image[at + 1]) * share;
  image[at + 2] += (blue - image[at + 2]) * share;
  image[at + 3] = alpha * 255;
}
