// Pointer and wheel over a scatter plot: dragging moves or draws a lasso, the wheel zooms, a press without a drag is a click.
//
// Places are px from the canvas's top left corner; what a lasso encloses is given in data units, thinned to a bounded number of corners
// so that it fits into an address.

import { type View, zoomAt } from "./scatter-raster.ts";

export type Tool = "move" | "lasso";

export const GESTURES = {
  /** A press that moves less is a click, px. */
  clickWithin: 4,
  /** Corners of a lasso that are kept. */
  corners: 60,
  /** Wheel: zoom by e to the distance turned times this. */
  wheel: 0.0015,
} as const;

export interface Gestures {
  tool: () => Tool;
  view: () => View;
  setView: (view: View) => void;
  /** The lasso while it is drawn: x0, y0, … px; empty at its end. */
  onDraw: (places: readonly number[]) => void;
  onLasso: (polygon: number[]) => void;
  onPoint: (x: number, y: number) => void;
  onClick: (x: number, y: number) => void;
}

/** Listens to the canvas; returns how to stop. */
export function followPointer(canvas: HTMLCanvasElement, gestures: Gestures): () => void {
  let start: { x: number; y: number; view: View; tool: Tool } | null = null;
  let places: number[] = [];
  const place = (event: MouseEvent): { x: number; y: number } => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const onDown = (event: PointerEvent): void => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    const at = place(event);
    start = { ...at, view: gestures.view(), tool: event.shiftKey ? "lasso" : gestures.tool() };
    places = [at.x, at.y];
  };
  const onMove = (event: PointerEvent): void => {
    const at = place(event);
    if (start === null) {
      gestures.onPoint(at.x, at.y);
      return;
    }
    if (start.tool === "lasso") {
      places = [...places, at.x, at.y];
      gestures.onDraw(places);
      return;
    }
    const { view } = start;
    const dx = ((start.x - at.x) / canvas.clientWidth) * (view.x1 - view.x0);
    const dy = ((at.y - start.y) / canvas.clientHeight) * (view.y1 - view.y0);
    gestures.setView({ x0: view.x0 + dx, x1: view.x1 + dx, y0: view.y0 + dy, y1: view.y1 + dy });
  };
  const onUp = (event: PointerEvent): void => {
    if (start === null) return;
    const at = place(event);
    const isClick = Math.hypot(at.x - start.x, at.y - start.y) < GESTURES.clickWithin && places.length < 8;
    const { tool } = start;
    start = null;
    gestures.onDraw([]);
    if (isClick) gestures.onClick(at.x, at.y);
    else if (tool === "lasso" && places.length >= 6) {
      gestures.onLasso(
        toPolygon(places, { view: gestures.view(), width: canvas.clientWidth, height: canvas.clientHeight }),
      );
    }
  };
  const onCancel = (): void => {
    start = null;
    gestures.onDraw([]);
  };
  const onLeave = (): void => gestures.onPoint(-1e9, -1e9);
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    const at = place(event);
    const view = gestures.view();
    const x = view.x0 + (at.x / canvas.clientWidth) * (view.x1 - view.x0);
    const y = view.y1 - (at.y / canvas.clientHeight) * (view.y1 - view.y0);
    gestures.setView(zoomAt(view, { x, y, factor: Math.exp(-event.deltaY * GESTURES.wheel) }));
  };

  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", onCancel);
  canvas.addEventListener("pointerleave", onLeave);
  canvas.addEventListener("wheel", onWheel, { passive: false });
  return () => {
    canvas.removeEventListener("pointerdown", onDown);
    canvas.removeEventListener("pointermove", onMove);
    canvas.removeEventListener("pointerup", onUp);
    canvas.removeEventListener("pointercancel", onCancel);
    canvas.removeEventListener("pointerleave", onLeave);
    canvas.removeEventListener("wheel", onWheel);
  };
}

/** Every n-th corner of a drawn line, so that at most GESTURES.corners are left; four significant digits, data units. */
export function toPolygon(
  places: readonly number[],
  { view, width, height }: { view: View; width: number; height: number },
): number[] {
  const nPlaces = places.length / 2;
  const every = Math.max(1, Math.ceil(nPlaces / GESTURES.corners));
  const polygon: number[] = [];
  for (let i = 0; i < nPlaces; i += every) {
    polygon.push(
      Number((view.x0 + (places[2 * i] / width) * (view.x1 - view.x0)).toPrecision(4)),
      Number((view.y1 - (places[2 * i + 1] / height) * (view.y1 - view.y0)).toPrecision(4)),
    );
  }
  return polygon;
}
