// How lines are told apart, with and without colours: custom properties of training.css, and dashes.

export interface Look {
  colour: string;
  dashes: string;
}

const DASHES = ["none", "7 3", "2 3", "9 3 2 3", "none", "5 2 1 2", "12 4", "3 6"] as const;

/** look: 1 … MOST_RUNS. */
export const lookOf = (look: number): Look => ({ colour: `run-${look}`, dashes: DASHES[look - 1] });

/** Of one training alone: the models in their own colours. */
export const SIDE_LOOKS: Record<"base" | "finetuned" | "total", Look> = {
  base: { colour: "base", dashes: "none" },
  finetuned: { colour: "finetuned", dashes: "none" },
  total: { colour: "ink", dashes: "2 3" },
};
