/** What the overview asks for. */

import { durationText } from '../time';

/** Points of each line, about. */
const POINTS = 120;
const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400];

export interface Asked {
  stepS: number;
  /** Window of rates and percentiles, as queries write it. */
  window: string;
}

/** Step and window that suit a range. */
export function asked(spanMs: number): Asked {
  const wanted = spanMs / 1000 / POINTS;
  const stepS = STEPS_S.find((step) => step >= wanted) ?? STEPS_S.at(-1)!;
  return { stepS, window: durationText(Math.max(stepS, 60) * 1000) };
}

export const QUERIES = {
  lines: (window: string) => `rate log_events_total over ${window}`,
  errors: (window: string) => `rate error_count over ${window}`,
  linesByService: (window: string) => `rate log_events_total by service over ${window}`,
  errorsByService: (window: string) => `rate error_count by service over ${window}`,
  p95: (window: string) => `p95 request_duration_ms over ${window}`,
  p99: (window: string) => `p99 request_duration_ms over ${window}`,
  bySource: (window: string) => `sum by (source) (rate(watchfire_records_accepted_total[${window}]))`,
  disk: () => 'max watchfire_disk_full_ratio',
  memory: () => 'max process_resident_memory_bytes',
  lag: () => 'max watchfire_queue_lag_seconds by consumer',
  series: () => 'max watchfire_series',
} as const;

export type QueryName = keyof typeof QUERIES;

/** The service under which the server keeps its own lines. */
export const OWN_SERVICE = 'watchfire';
