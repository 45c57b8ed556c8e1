// A chart by Observable Plot, drawn again when its width or data change, in the page's colours, to be saved as SVG.
//
// Plot puts a style element into each chart, which the content policy refuses: it is taken out before the chart enters the page, and its
// few rules stand in style.css. Loaded when the first chart is.

import type * as PlotModule from "@observablehq/plot";
import { type ReactNode, useEffect, useRef } from "react";
import { saveSvg } from "./save-svg.ts";

export type Plot = typeof PlotModule;

/** The class of every chart, named in style.css. */
const CHART_CLASS = "plot";

export interface PlotFigureProps {
  /** Said in place of the picture. */
  label: string;
  /** Draws at this width, px. Keep it stable (useCallback), or the chart is drawn with every change of the page. */
  draw: (plot: Plot, width: number) => PlotModule.PlotOptions;
  /** For the file's name. */
  name: string;
  children?: ReactNode;
}

export function PlotFigure({ label, draw, name, children }: PlotFigureProps): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current as HTMLDivElement;
    let plot: Plot | undefined;
    let isGone = false;
    let drawnWidth = 0;
    const render = (): void => {
      const width = Math.floor(element.clientWidth);
      if (plot === undefined || width === 0 || width === drawnWidth) return;
      drawnWidth = width;
      const chart = plot.plot({ ...draw(plot, width), width, className: CHART_CLASS });
      for (const style of chart.querySelectorAll("style")) style.remove();
      // The chart has one name; its parts are named by classes for style.css.
      for (const part of chart.querySelectorAll("[aria-label]")) {
        part.classList.add(...(part.getAttribute("aria-label") as string).split(" "));
        part.removeAttribute("aria-label");
      }
      chart.setAttribute("role", "img");
      chart.setAttribute("aria-label", label);
      element.replaceChildren(chart);
    };
    const watcher = new ResizeObserver(render);
    watcher.observe(element);
    import("@observablehq/plot").then((module) => {
      if (isGone) return;
      plot = module;
      render();
    });
    return () => {
      isGone = true;
      watcher.disconnect();
    };
  }, [draw, label]);
  return (
    <figure className="chart">
      <div ref={box} className="chart-box" />
      <figcaption>
        {children}{" "}
        <button
          type="button"
          className="quiet"
          aria-label={`Save as SVG: ${label}`}
          onClick={() => saveSvg(box.current?.querySelector("svg"), name)}
        >
          SVG
        </button>
      </figcaption>
    </figure>
  );
}
