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
export const TIMES = '2h, 2 days ago, in 2 hours, 15:00, yesterday 14:00, next monday 9:30, 2026-05-01 12:00, RFC 3339, now-1h30m or unix seconds';

/** Smaller numbers are no seconds since the epoch: they are of before March 1973, and `20261128` is a day. */
const EPOCH_SECONDS_MIN = 1e8;
/** Latest time that the server takes: 9999-12-31T23:59:59.999Z. */
const LATEST_MS = 253_402_300_799_999;

const COUNTS: Record<string, number> = {
  a: 1, an: 1, one: 1, two: 2, three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10, eleven: 11, twelve: 12,
};
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAY = '(?:sun|mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?)(?:day)?';
const MONTH = '(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?';
const NTH = '\\d{1,2}(?:st|nd|rd|th)?';
/** `nov 28`, `28th november 2026`. */
const OF_MONTH = `(?:${MONTH} ${NTH}|${NTH} ${MONTH})(?: \\d{4})?`;
const DAY = new RegExp(`today|yesterday|tomorrow|day (?:after tomorrow|before yesterday)|(?:(?:last|next) )?(?:${WEEKDAY}|${OF_MONTH})|\\d{4}[-/]\\d{1,2}[-/]\\d{1,2}|\\d{1,2}\\.\\d{1,2}\\.\\d{4}|\\d{8}`);
const CLOCK = /noon|midnight|\d{1,2} ?[ap]m|\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?/;
/** The hour of `at 9`. */
const AT_HOUR = new RegExp(`(^| )at (\\d{1,2}|${Object.keys(COUNTS).join('|')})(?= |$)(?! [ap]m(?: |$))`, 'g');
const ZONE = / ?(?:z|utc|gmt|[-+]\d\d(?::?\d\d)?)| [a-z][\w+-]*(?:\/[\w+-]+)*/;
const LENGTH = new RegExp(`^(?:(\\d+(?:\\.\\d+)?|${Object.keys(COUNTS).join('|')}) ?)?(sec(?:ond)?|min(?:ute)?|hour|day|week|month|year)s?$`);
/** A day, a clock, or both in either order, and a zone behind them. */
const DAY_FIRST = new RegExp(`^(${DAY.source})(?:[ t_](${CLOCK.source}))?(${ZONE.source})?$`);
const CLOCK_FIRST = new RegExp(`^(${CLOCK.source})(?: (${DAY.source}))?(${ZONE.source})?$`);

/**
 * A point in time as it may stand in the URL or be typed, in the spellings of the API and of the command line. What has
 * no zone is meant here, not in Greenwich; a bare duration is that long ago; a time of day is today's. Null for anything
 * else.
 */
export function parseTime(text: string, now: number): number | null {
  // A comma may also stand before the fraction of a second.
  const spaced = text.trim().toLowerCase().replace(/(?<!:\d\d),/g, ' ').replace(/\s+/g, ' ').trim();
  const withHours = spaced.replace(AT_HOUR, (_, before, hour) => `${before}${COUNTS[hour] ?? hour}:00`);
  const plain = withHours.replace(/(^| )(?:(?:at|on|the|of) )+/g, '$1');
  const at = sinceNow(plain, now) ?? lengthFromNow(plain, now) ?? onADay(plain, now);
  return at !== null && Math.abs(at) <= LATEST_MS ? at : null;
}

/** `now-5m`, a number since the epoch: of 13 digits milliseconds, of 16 micro-, of 19 nanoseconds. */
function sinceNow(plain: string, now: number): number | null {
  const [isNow, sign, rest = '0s'] = /^now(?: ?([-+]) ?(.+))?$/.exec(plain) ?? [];
  if (isNow !== undefined) {
    const duration = parseDuration(rest);
    return duration === null ? null : now + (sign === '+' ? duration : -duration);
  }
  if (!/^-?\d+(\.\d+)?$/.test(plain)) return null;
  const number = Number(plain);
  const size = Math.abs(number);
  if (size !== 0 && size < EPOCH_SECONDS_MIN) return null;
  return Math.round(number * (size >= 1e17 ? 1e-6 : size >= 1e14 ? 1e-3 : size >= 1e11 ? 1 : 1000));
}

/** `2h`, `2 days ago`, `last week`, `half an hour ago`; `in 2 days`, `+2h`, `an hour from now`, `next week`. */
function lengthFromNow(plain: string, now: number): number | null {
  const [, before, signed, length = '', behind] = /^(?:(last|past|next|in) |([-+]) ?)?(.+?)(?: (ago|from now))?$/.exec(plain) ?? [];
  if ((before || signed) && behind) return null;
  const sign = before === 'next' || before === 'in' || signed === '+' || behind === 'from now' ? 1 : -1;
  const fixed = length === 'half an hour' ? UNITS.h! / 2 : parseDuration(length);
  if (fixed !== null) return now + sign * fixed;
  const [, written, unit] = LENGTH.exec(length) ?? [];
  if (unit === undefined || (written === undefined && (!before || before === 'in'))) return null;
  const count = sign * (written === undefined ? 1 : COUNTS[written] ?? Number(written));
  if (/^(?:sec|min|hour)/.test(unit)) return now + count * UNITS[unit[0]!]!;
  if (!Number.isInteger(count)) return null;
  // Days, months and years of the calendar, which are not all as long.
  const at = new Date(now);
  if (unit === 'day' || unit === 'week') at.setDate(at.getDate() + count * (unit === 'week' ? 7 : 1));
  else {
    const day = at.getDate();
    at.setMonth(at.getMonth() + count * (unit === 'year' ? 12 : 1));
    // Months that are too short end before.
    if (at.getDate() !== day) at.setDate(0);
  }
  return at.getTime();
}

/** `yesterday 14:00`, `9:30`, `2026-05-01 12:00+02:00`, `nov 28 10:00 europe/london`. */
function onADay(plain: string, now: number): number | null {
  const dayFirst = DAY_FIRST.exec(plain);
  const [, one, other, zone] = dayFirst ?? CLOCK_FIRST.exec(plain) ?? [];
  if (one === undefined) return null;
  const [day, time] = dayFirst ? [one, other] : [other ?? 'today', one];
  const date = dateOf(day, now);
  const clock = clockOf(time ?? 'midnight');
  if (!date || !clock) return null;
  return zone === undefined ? new Date(...date, ...clock).getTime() : inZone(zone.trim(), Date.UTC(...date, ...clock));
}

/** The moment at which clocks of a zone show what clocks of Greenwich show at `shown`. */
function inZone(zone: string, shown: number): number | null {
  const [before, after] = [offsetOf(zone, shown - UNITS.d!), offsetOf(zone, shown + UNITS.d!)];
  if (before === null || after === null) return null;
  // Where clocks are changed: what they show twice is the first time, what they do not show is counted from before.
  return [before, after].map((offset) => shown - offset).find((at) => offsetOf(zone, at) === shown - at) ?? shown - before;
}

/** How far the clocks of a zone are ahead at a moment, in milliseconds; null if there is no such zone. */
function offsetOf(zone: string, at: number): number | null {
  let offset = zone;
  if (!/^(?:z|utc|gmt|[-+].*)$/.test(zone)) {
    try {
      const parts = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(at);
      offset = parts.find((part) => part.type === 'timeZoneName')!.value.slice('GMT'.length);
    } catch {
      return null;
    }
  }
  const [, sign, hours = '0', minutes = '0'] = /^([-+])(\d\d):?(\d\d)?$/.exec(offset) ?? [];
  if (Number(hours) > 23 || Number(minutes) > 59) return null;
  return (sign === '-' ? -1 : 1) * (Number(hours) * UNITS.h! + Number(minutes) * UNITS.m!);
}

/** Year, month from 0, day. */
function dateOf(text: string, now: number): [number, number, number] | null {
  const today = new Date(now);
  const [year, month, date] = [today.getFullYear(), today.getMonth(), today.getDate()];
  const [, which, day] = /^(?:(last|next) )?(.*)$/.exec(text) as unknown as [string, string | undefined, string];
  const away = ['day before yesterday', 'yesterday', 'today', 'tomorrow', 'day after tomorrow'].indexOf(day) - 2;
  if (away >= -2) return dateFrom(new Date(year, month, date + away));
  const weekday = WEEKDAYS.indexOf(day.slice(0, 3));
  if (weekday >= 0) {
    // The last such day before today, or the next one behind it.
    const ahead = (weekday - today.getDay() + 6) % 7 + 1;
    const back = (today.getDay() - weekday + 6) % 7 + 1;
    return dateFrom(new Date(year, month, date + (which === 'next' ? ahead : -back)));
  }
  const named = MONTHS.indexOf(/[a-z]{3}/.exec(day.replace(/\d+(?:st|nd|rd|th)/, ''))?.[0] ?? '');
  if (named >= 0) {
    const [ofMonth, ofYear] = [...day.matchAll(/\d+/g)].map(Number) as [number, number | undefined];
    if (ofYear !== undefined) return which ? null : realDate(ofYear, named, ofMonth);
    const thisYear = realDate(year, named, ofMonth);
    const isMeant = thisYear && (Date.UTC(...thisYear) > Date.UTC(year, month, date)) === (which === 'next');
    return isMeant ? thisYear : realDate(year + (which === 'next' ? 1 : -1), named, ofMonth);
  }
  const parts = /^(\d{4})(\d\d)(\d\d)$/.exec(day)?.slice(1) ?? day.split(/[-/.]/);
  const numbers = parts.map(Number) as [number, number, number];
  if (day.includes('.')) numbers.reverse();
  return realDate(numbers[0], numbers[1] - 1, numbers[2]);
}

function dateFrom(at: Date): [number, number, number] {
  return [at.getFullYear(), at.getMonth(), at.getDate()];
}

/** Null for a 30 February. */
function realDate(year: number, month: number, day: number): [number, number, number] | null {
  const meant = new Date(Date.UTC(year, month, day));
  return year >= 1000 && meant.getUTCMonth() === month && meant.getUTCDate() === day ? [year, month, day] : null;
}

/** Hours, minutes, seconds, milliseconds. */
function clockOf(text: string): [number, number, number, number] | null {
  if (text === 'midnight') return [0, 0, 0, 0];
  if (text === 'noon') return [12, 0, 0, 0];
  const [, hour, minute = '0', second = '0', fraction = '', half] = /^(\d+)(?::(\d+))?(?::(\d+))?(?:[.,](\d+))? ?([ap]m)?$/.exec(text) ?? [];
  if (half && (Number(hour) < 1 || Number(hour) > 12)) return null;
  const hours = half ? (Number(hour) % 12) + (half === 'pm' ? 12 : 0) : Number(hour);
  // 24:00 ends a day.
  if (hours > (Number(minute) + Number(second) + Number(fraction) === 0 && !half ? 24 : 23)) return null;
  if (Number(minute) > 59 || Number(second) > 59) return null;
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
