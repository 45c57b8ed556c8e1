// A scatter plot of all latents: drag to move, wheel or +/− to zoom, lasso a region, hover for a latent, click to open it.
//
// With the keyboard: arrows move, + and − zoom, 0 shows all; the latents table with a range filter is the same selection without a
// pointer. Pixels: scatter-raster.ts; dragging and wheel: scatter-gestures.ts.

import { type KeyboardEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { formatFixed } from "../format.ts";
import { cssColour, onThemeChange } from "../theme.ts";
import { followPointer, type Tool } from "./scatter-gestures.ts";
import {
  drawPoints,
  nearestPoint,
  niceTicks,
  type Points,
  panBy,
  type View,
  zoomAt,
} from "./scatter-raster.ts";

export interface ScatterProps {
  points: Points;
  /** Custom properties, one a group. */
  colours: readonly string[];
  home: View;
  xLabel: string;
  yLabel: string;
  label: string;
  /** Broken lines, in data units. */
  lines: { x: number | null; y: number | null };
  describe: (point: number) => string;
  onOpen: (point: number) => void;
  /** x0, y0, x1, y1, … in data units. */
  onLasso: (polygon: number[]) => void;
}

const STEPS = { pan: 0.15, zoom: 1.4 } as const;
const MARGIN = { left: 44, bottom: 38, top: 8, right: 8 } as const;
const HEIGHT = 380;
const TICKS = 5;

export function Scatter(props: ScatterProps): ReactNode {
  const { points, colours, home, lines } = props;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState(home);
  const [tool, setTool] = useState<Tool>("move");
  const [outer, setOuter] = useState(0);
  const [hover, setHover] = useState(-1);
  const [drawn, setDrawn] = useState<readonly number[]>([]);
  const [themeCount, setThemeCount] = useState(0);
  const width = Math.max(0, outer - MARGIN.left - MARGIN.right);
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;

  useEffect(() => setView(home), [home]);
  useEffect(() => onThemeChange(() => setThemeCount((count) => count + 1)), []);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setOuter(Math.floor(entry.contentRect.width)));
    watcher.observe(box.current as HTMLDivElement);
    return () => watcher.disconnect();
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: themeCount says that the colours behind the names have changed
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (context == null || width === 0) return;
    const scale = window.devicePixelRatio || 1;
    const [pixelsWide, pixelsHigh] = [Math.round(width * scale), Math.round(height * scale)];
    context.canvas.width = pixelsWide;
    context.canvas.height = pixelsHigh;
    const image = drawPoints(points, {
      view,
      width: pixelsWide,
      height: pixelsHigh,
      scale,
      colours: colours.map((name) => channels(cssColour(name))),
    });
    context.putImageData(new ImageData(image, pixelsWide, pixelsHigh), 0, 0);
  }, [points, colours, view, width, height, themeCount]);

  const latest = useRef({ view, tool, ...props });
  latest.current = { view, tool, ...props };
  useEffect(() => {
    const element = canvas.current as HTMLCanvasElement;
    return followPointer(element, {
      tool: () => latest.current.tool,
      view: () => latest.current.view,
      setView,
      onDraw: setDrawn,
      onLasso: (polygon) => latest.current.onLasso(polygon),
      onPoint: (x, y) => setHover(pointAt(element, x, y)),
      onClick: (x, y) => {
        const point = pointAt(element, x, y);
        if (point >= 0) latest.current.onOpen(point);
      },
    });
    function pointAt(target: HTMLCanvasElement, x: number, y: number): number {
      const { clientWidth, clientHeight } = target;
      return nearestPoint(latest.current.points, {
        view: latest.current.view,
        width: clientWidth,
        height: clientHeight,
        x,
        y,
      });
    }
  }, []);

  const zoom = (factor: number): void =>
    setView((now) => zoomAt(now, { x: (now.x0 + now.x1) / 2, y: (now.y0 + now.y1) / 2, factor }));
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pan = {
      ArrowLeft: [-STEPS.pan, 0],
      ArrowRight: [STEPS.pan, 0],
      ArrowUp: [0, STEPS.pan],
      ArrowDown: [0, -STEPS.pan],
    }[event.key];
    if (pan !== undefined) setView((now) => panBy(now, { right: pan[0], up: pan[1] }));
    else if (event.key === "+" || event.key === "=") zoom(STEPS.zoom);
    else if (event.key === "-") zoom(1 / STEPS.zoom);
    else if (event.key === "0") setView(home);
    else return;
    event.preventDefault();
  };

  const xOf = (x: number): number => MARGIN.left + ((x - view.x0) / (view.x1 - view.x0)) * width;
  const yOf = (y: number): number => MARGIN.top + ((view.y1 - y) / (view.y1 - view.y0)) * height;
  return (
    <div className="scatter">
      <div className="tools">
        <fieldset>
          <legend className="hidden">What dragging does</legend>
          {(["move", "lasso"] as const).map((name) => (
            <button key={name} type="button" aria-pressed={tool === name} onClick={() => setTool(name)}>
              {name === "move" ? "Move" : "Lasso"}
            </button>
          ))}
        </fieldset>
        <button type="button" aria-label="Zoom in" onClick={() => zoom(STEPS.zoom)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(1 / STEPS.zoom)}>
          −
        </button>
        <button type="button" onClick={() => setView(home)}>
          Reset
        </button>
        <output className="hovered">{hover >= 0 ? props.describe(hover) : ""}</output>
      </div>
      <div className="scatter-box" ref={box}>
        <svg className="plot axes" width={outer} height={HEIGHT} aria-hidden="true">
          <rect className="frame" x={MARGIN.left} y={MARGIN.top} width={width} height={height} />
          {niceTicks(view.x0, view.x1, TICKS).map((tick) => (
            <g key={tick} transform={`translate(${xOf(tick)},${MARGIN.top + height})`}>
              <path d="M0 0v4" />
              <text y="16" textAnchor="middle">
                {formatFixed(tick, decimalsOf(view.x1 - view.x0))}
              </text>
            </g>
          ))}
          {niceTicks(view.y0, view.y1, TICKS).map((tick) => (
            <g key={tick} transform={`translate(${MARGIN.left},${yOf(tick)})`}>
              <path d="M0 0h-4" />
              <text x="-7" y="4" textAnchor="end">
                {formatFixed(tick, decimalsOf(view.y1 - view.y0))}
              </text>
            </g>
          ))}
          <text x={MARGIN.left + width / 2} y={HEIGHT - 4} textAnchor="middle">
            {props.xLabel}
          </text>
          <text transform={`translate(11,${MARGIN.top + height / 2}) rotate(-90)`} textAnchor="middle">
            {props.yLabel}
          </text>
        </svg>
        <canvas
          ref={canvas}
          role="img"
          aria-label={props.label}
          tabIndex={0}
          onKeyDown={onKey}
          className={tool}
        />
        <svg className="over" width={outer} height={HEIGHT} aria-hidden="true">
          {lines.x !== null && lines.x > view.x0 && lines.x < view.x1 && (
            <path className="threshold" d={`M${xOf(lines.x)} ${MARGIN.top}v${height}`} />
          )}
          {lines.y !== null && lines.y > view.y0 && lines.y < view.y1 && (
            <path className="threshold" d={`M${MARGIN.left} ${yOf(lines.y)}h${width}`} />
          )}
          {drawn.length >= 4 && (
            <path className="lasso" d={pathOf(drawn)} transform={`translate(${MARGIN.left},${MARGIN.top})`} />
          )}
          {hover >= 0 && (
            <circle className="ring" cx={xOf(points.x[hover])} cy={yOf(points.y[hover])} r="6" />
          )}
        </svg>
      </div>
    </div>
  );
}

/** M x y L x y … of screen px. */
function pathOf(places: readonly number[]): string {
  const pairs = Array.from({ length: places.length / 2 }, (_, i) => `${places[2 * i]} ${places[2 * i + 1]}`);
  return `M${pairs.join("L")}`;
}

function decimalsOf(span: number): number {
  return Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(span / TICKS))));
}

/** "#rrggbb" → [red, green, blue]. */
function channels(hex: string): readonly [number, number, number] {
  const at = (i: number): number => Number.parseInt(hex.slice(i, i + 2), 16);
  return [at(1), at(3), at(5)];
}
