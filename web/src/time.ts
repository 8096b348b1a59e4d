/** Times as people write them, durations, and what of them stands on a screen. */

const UNITS: Record<string, number> = {
  ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000,
};

/** `1h30m` in milliseconds; null if it is no duration. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(ms|[smhdwy]))+$/.test(text)) return null;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) sum += Number(count) * UNITS[unit!]!;
  return sum;
}

/** The shortest exact text of a duration: `1h30m`. */
export function durationText(ms: number): string {
  if (ms > 0 && ms < 1000) return `${Math.round(ms)}ms`;
  let rest = Math.round(ms / 1000);
  const parts: string[] = [];
  for (const [unit, size] of [['d', 86_400], ['h', 3600], ['m', 60], ['s', 1]] as const) {
    const count = Math.floor(rest / size);
    if (count) parts.push(`${count}${unit}`);
    rest -= count * size;
  }
  return parts.join('') || '0s';
}

/** About how long: `4 m`, `3 h`, `2 d`. */
export function roughDuration(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} m`;
  if (s < 129_600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86_400)} d`;
}

/**
 * A point in time as it may stand in the URL or be typed: `now`, `now-1h`, RFC 3339, `2026-05-01 12:00`,
 * seconds or milliseconds since the epoch. Null if it is none of them.
 */
export function parseTime(text: string, now: number): number | null {
  const trimmed = text.trim();
  const relative = /^now(?:-(.+))?$/.exec(trimmed);
  if (relative) {
    const back = relative[1] === undefined ? 0 : parseDuration(relative[1]);
    return back === null ? null : now - back;
  }
  if (/^\d{9,10}(\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed) * 1000);
  if (/^\d{12,14}$/.test(trimmed)) return Number(trimmed);
  if (!/^\d{4}-\d\d-\d\d/.test(trimmed)) return null;
  // A date without a time means midnight here, not in Greenwich.
  const local = trimmed.length === 10 ? `${trimmed}T00:00` : trimmed.replace(' ', 'T');
  const at = Date.parse(local);
  return Number.isNaN(at) ? null : at;
}

const two = (number: number) => String(number).padStart(2, '0');

/** `2026-05-01 12:00:05`, local. */
export function localDateTime(ms: number, withMillis = false): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms, withMillis)}`;
}

/** `12:00:05` or `12:00:05.123`, local. */
export function clock(ms: number, withMillis = false): string {
  const d = new Date(ms);
  const whole = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return withMillis ? `${whole}.${String(d.getMilliseconds()).padStart(3, '0')}` : whole;
}

/** UTC, for titles: `2026-05-01T12:00:05.123Z`. */
export function utc(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : '';
}

/** A label of a time axis whose ends are `span` apart. */
export function axisTime(ms: number, span: number): string {
  const d = new Date(ms);
  const day = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  if (span > 6 * 86_400_000) return day;
  const time = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (span > 86_400_000) return `${day} ${time}`;
  return span < 180_000 ? clock(ms) : time;
}

/** How a range reads on the button of the picker. */
export function rangeText(from: string, to: string, now: number): string {
  const back = /^now-(.+)$/.exec(from);
  if (back && to === 'now') return `last ${back[1]}`;
  const [start, end] = [parseTime(from, now), parseTime(to, now)];
  if (start === null || end === null) return `${from} – ${to}`;
  const sameDay = localDateTime(start).slice(0, 10) === localDateTime(end).slice(0, 10);
  return `${localDateTime(start)} – ${to === 'now' ? 'now' : sameDay ? clock(end) : localDateTime(end)}`;
}
