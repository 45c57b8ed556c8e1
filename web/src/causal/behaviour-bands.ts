// Answers that show a behaviour, counted: every arm as n of m, for one behaviour or for all of them together. Pure.

import type { CausalBehaviour } from "../../../src/dashboard/api-contract.ts";
import type { Band, BandSpan } from "../charts/band-bars.tsx";
import { formatCount, formatPercent, NO_VALUE } from "../format.ts";

type Arm = CausalBehaviour["arms"][number];
export type Counted = Arm["called"];

/** Counts of all behaviours added up, arm by arm, in the order in which the arms first come. */
export function addUpArms(behaviours: readonly CausalBehaviour[]): Arm[] {
  const sums = new Map<string, Arm>();
  const add = (a: Counted, b: Counted): Counted => ({
    shown: a.shown + b.shown,
    prompts: a.prompts + b.prompts,
  });
  for (const { arms } of behaviours)
    for (const arm of arms) {
      const before = sums.get(arm.arm);
      sums.set(
        arm.arm,
        before === undefined
          ? arm
          : {
              arm: arm.arm,
              controls: Math.max(before.controls, arm.controls),
              called: add(before.called, arm.called),
              notCalled: add(before.notCalled, arm.notCalled),
              degenerate: before.degenerate + arm.degenerate,
            },
      );
    }
  return [...sums.values()];
}

/** "6 of 30 (20 %)"; "none" without prompts. */
export function countWords({ shown, prompts }: Counted): string {
  if (prompts === 0) return "none";
  return `${formatCount(shown)} of ${formatCount(prompts)} (${formatPercent(shown / prompts, 0)})`;
}

/** Of all answers of the arm. */
export function degenerateWords({ called, notCalled, degenerate }: Arm): string {
  return countWords({ shown: degenerate, prompts: called.prompts + notCalled.prompts });
}

/** Wide: where the prompt calls for it; thin: where it does not. Controls are paler. */
export function behaviourBands(arms: readonly Arm[]): Band[] {
  const span = ({ shown, prompts }: Counted): BandSpan => ({
    ...{ value: prompts === 0 ? null : shown / prompts, low: null, high: null },
  });
  return arms.map(({ arm, controls, called, notCalled, degenerate }) => ({
    ...{ key: arm, label: arm, main: span(called), thin: span(notCalled) },
    words: [
      ...[called, notCalled].map(({ shown, prompts }) =>
        prompts === 0 ? NO_VALUE : `${formatCount(shown)} of ${formatCount(prompts)}`,
      ),
      ...(degenerate > 0 ? [`${formatCount(degenerate)} degenerate`] : []),
    ].join(" · "),
    fill: arm.startsWith("base") ? "base" : "finetuned",
    isPale: controls > 0,
  }));
}
