// Between a batch and its update: computes a step, and when it is not finite does what the policy says.
//
// A step that is not finite changes nothing. By the policy the run stops, or goes past the batch: at once, or (rollBack) when it
// comes again after the newest checkpoint was loaded. Which batches were passed stands in every checkpoint; a run that is killed
// before the next one meets the same batch in the same state and decides the same.

import { NumericsError, StorageError } from "../errors.ts";
import type { NonFinitePolicy } from "./config.ts";
import type { Engine, StepResult } from "./engine-contract.ts";
import { type BadStep, badBatch, badResult, describeBadStep, hintForBadStep } from "./finite.ts";
import { type ForensicFacts, writeForensicBundle } from "./forensics.ts";
import type { PassedStep } from "./metrics.ts";
import type { RunOptions } from "./run-options.ts";
import type { Batch } from "./shared-batches.ts";

/** What is known when a step is tried; kept with the evidence. */
export type StepFacts = Pick<ForensicFacts, "learningRate" | "level" | "threshold" | "lastGoodCheckpoint">;

export interface StepGuard {
  policy: NonFinitePolicy["policy"];
  /** Batches gone past without an update, and those that will be when they come, by their step. */
  passed: Map<number, PassedStep>;
  /**
   * The step computed and ready for its update; "passed": there is none to make; "rollBack": the newest checkpoint is to be
   * loaded. Throws NumericsError when the policy is to stop, or when more steps were passed than it allows.
   */
  attempt(batch: Batch, facts: StepFacts): Promise<StepResult | "passed" | "rollBack">;
}

export function createStepGuard(
  options: RunOptions,
  { engine, backward }: { engine: Engine; backward: (batch: Batch, level: number) => Promise<StepResult> },
): StepGuard {
  const { store, config, folder, identity, warnings } = options;
  const shape = { nLatents: config.nLatents, width: store.width };
  const { policy, most } = { most: 0, ...(config.nonFinite ?? { policy: "stop" as const }) };
  const passed = new Map<number, PassedStep>();

  /** What is wrong with a step, or its result. Nothing has changed in the first case, but for dead counters under rollBack. */
  async function compute(
    batch: Batch,
    level: number,
  ): Promise<{ result: StepResult } | { bad: BadStep; residual?: Float32Array }> {
    const unusable = badBatch(batch.x);
    if (unusable !== undefined) return { bad: unusable };
    const counters = policy === "skip" ? await engine.readRowsSinceFired() : undefined;
    const result = await backward(batch, level);
    const bad = await badResult(result, { engine, shape });
    if (bad === undefined) return { result };
    if (counters !== undefined) await engine.writeRowsSinceFired(counters);
    return { bad, residual: (await engine.lastBatch()).residual };
  }

  /** A phrase that says where the evidence is. */
  async function keepEvidence(
    batch: Batch,
    { bad, residual, facts }: { bad: BadStep; residual: Float32Array | undefined; facts: StepFacts },
  ): Promise<string> {
    const all = { ...identity, ...facts, batchStep: batch.step, nShards: engine.nShards, bad };
    try {
      const rows = { store, x: batch.x, residual, rows: batch.rows() };
      return `evidence: ${await writeForensicBundle(folder, all, rows)}`;
    } catch (error) {
      // The step's own error matters more than a disk that has no room for its evidence.
      if (!(error instanceof StorageError)) throw error;
      warnings.push(error.message);
      return `evidence could not be kept: ${error.message}`;
    }
  }

  return {
    policy,
    passed,
    async attempt(batch, facts) {
      if (passed.has(batch.step)) return "passed";
      const computed = await compute(batch, facts.level);
      if ("result" in computed) return computed.result;
      const { bad, residual } = computed;
      const evidence = await keepEvidence(batch, { bad, residual, facts });
      passed.set(batch.step, { batchStep: batch.step, ...bad });
      if (passed.size <= most) return policy === "skip" ? "passed" : "rollBack";
      const many = policy === "stop" ? "" : `; ${passed.size} such steps, at most ${most} may be passed`;
      throw new NumericsError(
        `training step ${batch.step}: ${describeBadStep(bad)}; last good checkpoint: ${facts.lastGoodCheckpoint ?? "none yet"}${many}; ${evidence}`,
        { hint: hintForBadStep(bad) },
      );
    },
  };
}
