/** Times as people write them, durations, and what of them stands on a screen. */

const UNITS: Record<string, number> = {
  ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000, y: 31_536_000_000,
};

/** `1h30m`, `1.5h` in milliseconds; null if it is no duration. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|[smhdwy]))+$/.test(text)) return null;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdwy])/g)) sum += Number(count) * UNITS[unit!]!;
  return Math.round(sum);
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

/** What may be written for a time, for who wrote something else. */
export const TIMES = '2h, 2 days ago, 15:00, yesterday 14:00, monday 9:30, 2026-05-01 12:00, RFC 3339, now-1h30m or unix seconds';

/** Smaller numbers are no seconds since the epoch: they are of before April 1970. */
const EPOCH_SECONDS_MIN = 1e7;
/** Latest time that the server takes: 9999-12-31T23:59:59.999Z. */
const LATEST_MS = 253_402_300_799_999;

const COUNTS: Record<string, number> = {
  a: 1, an: 1, one: 1, two: 2, three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10,
};
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const WEEKDAY = '(?:sun|mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?)(?:day)?';
const DAY = new RegExp(`today|yesterday|(?:last )?${WEEKDAY}|\\d{4}[-/]\\d{1,2}[-/]\\d{1,2}`);
const CLOCK = /noon|midnight|\d{1,2} ?[ap]m|\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?/;
const ZONE = /z|utc|gmt|[-+]\d\d(?::?\d\d)?/;
const SPAN = new RegExp(`^(?:last )?(?:(\\d+|${Object.keys(COUNTS).join('|')}) ?)?(sec(?:ond)?|min(?:ute)?|hour|day|week)s?( ago)?$`);
/** A day, a clock, or both in either order, and a zone behind them. */
const DAY_FIRST = new RegExp(`^(${DAY.source})(?:[ t_](${CLOCK.source}))?(?: ?(${ZONE.source}))?$`);
const CLOCK_FIRST = new RegExp(`^(${CLOCK.source})(?: (${DAY.source}))?(?: ?(${ZONE.source}))?$`);

/**
 * A point in time as it may stand in the URL or be typed, in the spellings of the API and most of those of the command
 * line. What has no zone is meant here, not in Greenwich; a bare duration is that long ago; a time of day is today's.
 * Null for anything else.
 */
export function parseTime(text: string, now: number): number | null {
  const plain = text.trim().toLowerCase().replace(/\s+/g, ' ').replace(/(^| )(?:at|on) /g, '$1');
  const at = sinceNow(plain, now) ?? spanBefore(plain, now) ?? onADay(plain, now);
  return at !== null && Math.abs(at) <= LATEST_MS ? at : null;
}

/** `now-5m`, a duration, a number since the epoch: of 13 digits milliseconds, of 16 micro-, of 19 nanoseconds. */
function sinceNow(plain: string, now: number): number | null {
  const [isNow, sign, rest] = /^now(?: ?([-+]) ?(.+))?$/.exec(plain) ?? [];
  const duration = parseDuration(isNow === undefined ? plain.replace(/ ago$/, '') : rest ?? '0s');
  if (duration !== null) return now + (sign === '+' ? duration : -duration);
  if (isNow !== undefined || !/^-?\d+(\.\d+)?$/.test(plain)) return null;
  const number = Number(plain);
  const size = Math.abs(number);
  if (size !== 0 && size < EPOCH_SECONDS_MIN) return null;
  return Math.round(number * (size >= 1e17 ? 1e-6 : size >= 1e14 ? 1e-3 : size >= 1e11 ? 1 : 1000));
}

/** `2 days ago`, `90 minutes`, `last week`. */
function spanBefore(plain: string, now: number): number | null {
  const [whole, written, unit] = SPAN.exec(plain) ?? [];
  if (unit === undefined || (written === undefined && !whole!.startsWith('last '))) return null;
  const count = written === undefined ? 1 : COUNTS[written] ?? Number(written);
  if (unit !== 'day' && unit !== 'week') return now - count * UNITS[unit[0]!]!;
  // Days of the calendar, which are not all as long.
  const at = new Date(now);
  at.setDate(at.getDate() - count * (unit === 'week' ? 7 : 1));
  return at.getTime();
}

/** `yesterday 14:00`, `9:30`, `2026-05-01 12:00+02:00`. */
function onADay(plain: string, now: number): number | null {
  const dayFirst = DAY_FIRST.exec(plain);
  const [, one, other, zone] = dayFirst ?? CLOCK_FIRST.exec(plain) ?? [];
  if (one === undefined) return null;
  const [day, time] = dayFirst ? [one, other] : [other ?? 'today', one];
  const date = dateOf(day, now);
  const clock = clockOf(time ?? 'midnight');
  if (!date || !clock) return null;
  if (zone === undefined) return new Date(...date, ...clock).getTime();
  const [, sign, hours = '0', minutes = '0'] = /^([-+])(\d\d):?(\d\d)?$/.exec(zone) ?? [];
  if (Number(hours) > 23 || Number(minutes) > 59) return null;
  return Date.UTC(...date, ...clock) - (sign === '-' ? -1 : 1) * (Number(hours) * UNITS.h! + Number(minutes) * UNITS.m!);
}

/** Year, month from 0, day. */
function dateOf(day: string, now: number): [number, number, number] | null {
  const today = new Date(now);
  const weekday = WEEKDAYS.indexOf(day.replace('last ', '').slice(0, 3));
  if (day === 'today' || day === 'yesterday' || weekday >= 0) {
    // The last such day before today.
    const back = weekday >= 0 ? (today.getDay() - weekday + 6) % 7 + 1 : day === 'today' ? 0 : 1;
    const meant = new Date(today.getFullYear(), today.getMonth(), today.getDate() - back);
    return [meant.getFullYear(), meant.getMonth(), meant.getDate()];
  }
  const [year, month, date] = day.split(/[-/]/).map(Number) as [number, number, number];
  const meant = new Date(Date.UTC(year, month - 1, date));
  return year >= 1000 && meant.getUTCMonth() === month - 1 && meant.getUTCDate() === date ? [year, month - 1, date] : null;
}

/** Hours, minutes, seconds, milliseconds. */
function clockOf(text: string): [number, number, number, number] | null {
  if (text === 'midnight') return [0, 0, 0, 0];
  if (text === 'noon') return [12, 0, 0, 0];
  const [, hour, minute = '0', second = '0', fraction = '', half] = /^(\d+)(?::(\d+))?(?::(\d+))?(?:[.,](\d+))? ?([ap]m)?$/.exec(text) ?? [];
  if (half && (Number(hour) < 1 || Number(hour) > 12)) return null;
  const hours = half ? (Number(hour) % 12) + (half === 'pm' ? 12 : 0) : Number(hour);
  if (hours > 23 || Number(minute) > 59 || Number(second) > 59) return null;
  return [hours, Number(minute), Number(second), Number(fraction.padEnd(3, '0').slice(0, 3))];
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

/** A label of a time axis whose ends are `span` apart, and its labels `step`. */
export function axisTime(ms: number, span: number, step: number): string {
  const d = new Date(ms);
  const day = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  if (span > 6 * 86_400_000) return day;
  const time = `${two(d.getHours())}:${two(d.getMinutes())}`;
  if (span > 86_400_000) return `${day} ${time}`;
  return step < 60_000 ? clock(ms) : time;
}

const DAY_MS = 86_400_000;
/** Distances between labels of a time axis. */
const STEPS_MS = [
  ...[1, 2, 5, 10, 15, 30].map((s) => s * 1000), ...[1, 2, 5, 10, 15, 30].map((m) => m * 60_000), ...[1, 2, 3, 6, 12].map((h) => h * 3_600_000),
  ...[1, 2, 4, 7, 14, 28, 91, 182, 364].map((d) => d * DAY_MS),
];

/** Round local times between two ends, evenly apart and at most so many of them; and how far apart. */
export function roundTimes(start: number, end: number, most: number): { times: number[]; step: number } {
  const step = STEPS_MS.find((one) => (end - start) / one <= most) ?? STEPS_MS.at(-1)!;
  const shift = new Date(start).getTimezoneOffset() * 60_000;
  const times: number[] = [];
  for (let at = Math.ceil((start - shift) / step) * step + shift; at <= end; at += step) times.push(at);
  return { times, step };
}

/** How a range reads on the button of the picker; what cannot be shown reads as it was written. */
export function rangeText(from: string, to: string, range: { start: number; end: number } | null): string {
  if (!range) return `${from} – ${to}`;
  const back = from.replace(/^now-/, '');
  if (to === 'now' && parseDuration(back) !== null) return `last ${back}`;
  const [start, end] = [localDateTime(range.start), localDateTime(range.end)];
  return `${start} – ${to === 'now' ? 'now' : start.slice(0, 10) === end.slice(0, 10) ? clock(range.end) : end}`;
}
