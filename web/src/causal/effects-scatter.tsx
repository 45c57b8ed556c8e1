// Gap closed against damage, a point a latent: press one to see what it moves, draw a lasso to keep only those in the table.

import { type ReactNode, useMemo } from "react";
import type { CausalEffectRow } from "../../../src/dashboard/api-contract.ts";
import { saveSvg } from "../charts/save-svg.ts";
import { Scatter } from "../charts/scatter.tsx";
import type { Points, View } from "../charts/scatter-raster.ts";
import { formatNumber, formatPercent } from "../format.ts";
import { isPoint } from "./effect-rows.ts";

const COLOURS = ["neutral", "finetuned"] as const;
/** Units of the plot, which keep the numbers of its axes short: a hundredth of the gap, a thousandth of a nat. */
const SCALE = { x: 100, y: 1000 } as const;
const LABELS = {
  x: "gap closed when added to the base, %",
  y: "damage when removed, thousandths of a nat",
} as const;
const NO_LINES = { x: null, y: null } as const;
/** Share of the points' extent that is left empty around them. */
const ROOM = 0.06;

export function EffectsScatter(options: {
  rows: readonly CausalEffectRow[];
  onPick: (latent: number) => void;
  onLasso: (polygon: number[]) => void;
}): ReactNode {
  const { rows, onPick, onLasso } = options;
  const shown = useMemo(() => rows.filter(isPoint), [rows]);
  const points = useMemo(() => toPoints(shown), [shown]);
  const home = useMemo(() => viewOf(points), [points]);
  const label = `Scatter plot of damage against gap closed, ${shown.length} latents. Arrows move it, plus and minus zoom, 0 shows all.`;
  return (
    <>
      <Scatter
        points={points}
        colours={COLOURS}
        home={home}
        xLabel={LABELS.x}
        yLabel={LABELS.y}
        lines={NO_LINES}
        label={label}
        describe={(point) =>
          `latent ${shown[point].latent}: ${formatPercent(points.x[point] / SCALE.x, 2)}, ${formatNumber(points.y[point] / SCALE.y)} nats`
        }
        onOpen={(point) => onPick(shown[point].latent)}
        onLasso={(polygon) => onLasso(polygon.map(toRow))}
      />
      <p className="note">
        Coloured: candidates; grey: controls. The table below is the same without a pointer.{" "}
        <button
          type="button"
          className="quiet"
          aria-label="Save as SVG: damage against gap closed"
          onClick={() => void saveScatter(points)}
        >
          SVG
        </button>
      </p>
    </>
  );
}

async function saveScatter({ x, y, group }: Points): Promise<void> {
  const plot = await import("@observablehq/plot");
  const dots = Array.from(x, (value, i) => ({ x: value, y: y[i], fill: `var(--${COLOURS[group[i]]})` }));
  const chart = plot.plot({
    ...{ width: 720, height: 480, marginLeft: 60 },
    x: { label: LABELS.x, grid: true },
    y: { label: LABELS.y, grid: true },
    marks: [plot.dot(dots, { x: "x", y: "y", fill: "fill", r: 2, fillOpacity: 0.7 })],
  });
  saveSvg(chart as SVGSVGElement, "causal-latents");
}

/** A corner of the plot, x and y in turn, as a row has it. */
function toRow(value: number, i: number): number {
  return Number((value / (i % 2 === 0 ? SCALE.x : SCALE.y)).toPrecision(4));
}

function toPoints(rows: readonly CausalEffectRow[]): Points {
  return {
    x: Float64Array.from(rows, ({ gapClosed }) => (gapClosed.mean ?? Number.NaN) * SCALE.x),
    y: Float64Array.from(rows, ({ damage }) => (damage.mean ?? Number.NaN) * SCALE.y),
    group: Uint8Array.from(rows, ({ role }) => (role === "candidate" ? 1 : 0)),
  };
}

/** All points and the origin, with room around them; something for none. */
export function viewOf({ x, y }: Points): View {
  const ends = (values: Float64Array): [number, number] => {
    let [low, high] = [0, 0];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const room = (high - low || 1) * ROOM;
    return [low - room, high + room];
  };
  const [[x0, x1], [y0, y1]] = [ends(x), ends(y)];
  return { x0, x1, y0, y1 };
}
