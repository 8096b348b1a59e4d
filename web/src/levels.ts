/** The levels of the log model, worst first, each with the token of its colour. */

export const LEVELS = ['fatal', 'critical', 'error', 'warn', 'notice', 'info', 'debug', 'trace'] as const;
export type Level = (typeof LEVELS)[number];

/** Levels that count as errors, as the metric `error_count` does. */
export const ERRORS: readonly string[] = ['error', 'critical', 'fatal'];

export function levelColor(level: string): string {
  return `var(--level-${(LEVELS as readonly string[]).includes(level) ? level : 'info'})`;
}
