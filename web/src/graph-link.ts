/** Links of Prometheus, as its alerts and its users have them: `/graph?g0.expr=…&g0.range_input=2h&g1.expr=…`. */

import { parseDuration } from './time';

/** Queries that the explorer takes. */
const QUERIES_MAX = 4;

/** The page of ours that shows the same; null if there is no query in it. The range is that of the first query. */
export function fromGraphLink(params: URLSearchParams): string | null {
  const next = new URLSearchParams();
  for (let panel = 0; panel < QUERIES_MAX; panel++) {
    const expr = params.get(`g${panel}.expr`);
    if (expr) next.set(panel === 0 ? 'q' : `q${panel + 1}`, expr);
  }
  if (!next.size) return null;
  const isTable = ['1', 'table'].includes(params.get('g0.tab') ?? '');
  if (isTable) next.set('view', 'table');
  const length = params.get('g0.range_input') ?? '';
  const lengthMs = parseDuration(length);
  const end = utcTime(params.get(isTable ? 'g0.moment_input' : 'g0.end_input'));
  if (end !== null) {
    next.set('from', String(end - (lengthMs ?? 3_600_000)));
    next.set('to', String(end));
  } else if (lengthMs) {
    next.set('from', `now-${length}`);
  }
  return `/explore?${next}`;
}

/** `2026-05-01 12:00:00`, in UTC whether it says so or not. */
function utcTime(text: string | null): number | null {
  const [, time] = /^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)Z?$/.exec(text?.trim() ?? '') ?? [];
  if (time === undefined) return null;
  const at = Date.parse(`${time.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? null : at;
}
