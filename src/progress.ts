// The one shape in which long work reports how far it is. Printing it is the command line's business.

export interface Progress {
  /** Stage name as the user knows it: "harvest base", "train", "measure". */
  stage: string;
  done: number;
  total: number;
  /** What is counted: "tokens", "steps", "rows". */
  unit: string;
  /** Short extra facts for the line, e.g. { fve: 0.91, l0: 15.8 }. */
  facts?: Record<string, number>;
}

export type ReportProgress = (progress: Progress) => void;
