// Bounds of the live labs: how long models are held, how many questions wait, how long one may take. Bounds of a request are API_LIMITS.

export const LAB_SETTINGS = {
  /** Milliseconds without a question after which the models are let go. */
  idleMs: 5 * 60_000,
  /** Questions that may wait behind the one in work; the next one is refused. */
  waiting: 4,
  /** Milliseconds that one question may take, the loading of its models included. */
  jobMs: 10 * 60_000,
  /** Milliseconds a question that nobody wants any more has to end; then its process is ended. */
  cancelMs: 5000,
  /** Milliseconds the process has to start. */
  startMs: 60_000,
  /** Most tokens of a reading, where the models' own context does not end before. */
  tokens: 2048,
  /** Most bytes of both models' logits at a time. */
  logitBytes: 32e6,
  /** Farthest factor of a steered latent, and hottest temperature. */
  factor: 100,
  temperature: 5,
  /** Strongest promoted tokens of a latent in a reading. */
  promoted: 5,
} as const;

export type LabTimes = Pick<Record<keyof typeof LAB_SETTINGS, number>, "idleMs" | "jobMs" | "cancelMs">;
