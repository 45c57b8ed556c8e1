// Gates of rank-1 adapters, read off the difference they made: δ = Σ_i g_i·B_i gives g = B⁺δ where the B_i are independent.
//
// Exact up to how δ was stored. B⁺ by Gram–Schmidt with one repetition in f64 (n ≤ dModel; a handful of directions). The part of
// δ outside span(B) is handed back, because it says whether δ came from these adapters at all.

import { NumericsError, ShapeError } from "../errors.ts";

export interface GateReader {
  /**
   * difference: [dModel] h_finetuned − h_base, raw activation units. gates [n] is overwritten: g_i in units of B_i.
   * Returns ‖δ‖² and ‖δ − Σ g_i·B_i‖².
   */
  read(difference: ArrayLike<number>, gates: Float64Array): { squaredNorm: number; squaredResidual: number };
  /** ‖projection of direction on span(B)‖ / ‖direction‖, in [0, 1]; 0 for a direction of length 0. */
  spanCosine(direction: ArrayLike<number>): number;
}

/** Of a direction's length, what must be left of it outside the span of those before: below this they are one. */
const INDEPENDENT_ABOVE = 1e-4;

/**
 * directions: B_i, each [dModel]. Throws ShapeError for another width, NumericsError for a direction that is not finite, has no
 * length or lies in the span of those before it.
 */
export function createGateReader(directions: readonly ArrayLike<number>[], dModel: number): GateReader {
  const n = directions.length;
  // B = Q·R with orthonormal Q [n][dModel] and upper triangular R [n][n].
  const q: Float64Array[] = [];
  const r = directions.map(() => new Float64Array(n));
  for (const [i, direction] of directions.entries()) {
    if (direction.length !== dModel) {
      throw new ShapeError(`direction ${i}: expected ${dModel} values, got ${direction.length}`);
    }
    const rest = Float64Array.from(direction);
    const length = norm(rest);
    if (!(length > 0 && Number.isFinite(length))) {
      throw new NumericsError(`direction ${i}: expected a finite length above 0, got ${length}`);
    }
    for (let repeat = 0; repeat < 2; repeat += 1) {
      for (const [j, unit] of q.entries()) {
        const part = dot(unit, rest);
        r[j][i] += part;
        for (let c = 0; c < dModel; c += 1) rest[c] -= part * unit[c];
      }
    }
    const left = norm(rest);
    if (left < INDEPENDENT_ABOVE * length) {
      throw new NumericsError(`direction ${i}: expected one that is no combination of those before it`, {
        hint: "two adapters that write the same direction cannot be told apart: leave one out",
      });
    }
    r[i][i] = left;
    q.push(rest.map((value) => value / left));
  }

  return {
    read(difference, gates) {
      let explained = 0;
      for (let i = 0; i < n; i += 1) {
        gates[i] = dot(q[i], difference);
        explained += gates[i] ** 2;
      }
      for (let i = n - 1; i >= 0; i -= 1) {
        for (let j = i + 1; j < n; j += 1) gates[i] -= r[i][j] * gates[j];
        gates[i] /= r[i][i];
      }
      const squaredNorm = dot(difference, difference);
      return { squaredNorm, squaredResidual: Math.max(0, squaredNorm - explained) };
    },
    spanCosine(direction) {
      const length = norm(direction);
      if (length === 0) return 0;
      return Math.min(1, Math.sqrt(q.reduce((sum, unit) => sum + dot(unit, direction) ** 2, 0)) / length);
    },
  };
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}

function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a));
}
