// Plans of graphs: which weights they name, and that none is named twice.

import { expect, test } from "vitest";
import { blockTensors, outerTensors } from "./architecture.ts";
import { describeArchitecture } from "./config.ts";
import { FAMILY_GOLDENS, readFamilyGolden } from "./family-golden.test.data.ts";
import { planGraph } from "./graph.ts";

const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

test.each(FAMILY_GOLDENS)(
  "%s: a full forward holds every weight once, a tied head none of its own",
  (name) => {
    const architecture = describeArchitecture(readFamilyGolden(name).config, "config.json");
    const { config, head, headIsTied, embedding } = architecture;
    const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
    const stored = [
      ...outerTensors(architecture),
      ...(headIsTied ? [] : [head]),
      ...layers.flatMap((layer) => blockTensors(architecture, layer)),
    ];
    const plan = planGraph(architecture, {
      start: "tokens",
      taps: layers,
      head: headIsTied ? embedding : head,
    });
    const total = (shapes: (readonly number[])[]): number =>
      shapes.reduce((sum, shape) => sum + size(shape), 0);
    expect(total(plan.weights.map(({ shape }) => shape))).toBe(total(stored.map(({ shape }) => shape)));
    expect(new Set(plan.weights.map((weight) => weight.name)).size).toBe(plan.weights.length);
  },
);
