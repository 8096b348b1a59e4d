/** Numbers as they stand on a screen. */

const SI = ['', 'k', 'M', 'G', 'T', 'P'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** About three digits: `1.23k`, `0.042`, `17`. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  const size = Math.abs(value);
  if (size !== 0 && size < 1e-4) return value.toExponential(1);
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.5 && unit < SI.length - 1) {
    scaled /= 1000;
    unit += 1;
  }
  return plain(scaled) + SI[unit];
}

function plain(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

/** All digits, in groups: `13 148`. */
export function whole(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** `1 line`, `13 148 lines`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

export function bytes(value: number): string {
  let unit = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1023.5 && unit < BINARY.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${plain(scaled)} ${BINARY[unit]}`;
}

export function percent(ratio: number): string {
  if (!Number.isFinite(ratio)) return '–';
  const value = ratio * 100;
  return `${Math.abs(value) < 10 ? Number(value.toFixed(2)) : Math.round(value)} %`;
}

/** Milliseconds in the unit that fits: `412 ms`, `1.3 s`. */
export function millis(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value < 1000) return `${plain(value)} ms`;
  return value < 120_000 ? `${plain(value / 1000)} s` : `${plain(value / 60_000)} m`;
}

/** What a value of an unnamed unit means, as far as a metric's name tells. */
export function unitOf(query: string): Unit {
  if (/^\s*(p\d|avg|min|max)/.test(query) || !/\b(rate|count|increase)\b/.test(query)) {
    if (/_bytes\b/.test(query)) return bytes;
    if (/(_ratio)\b/.test(query)) return percent;
    if (/(_ms)\b/.test(query)) return millis;
  }
  return short;
}

export type Unit = (value: number) => string;

/** Labels as PromQL writes them, the name in front. */
export function seriesName(labels: Record<string, string>): string {
  const { __name__: name = '', ...rest } = labels;
  const pairs = Object.entries(rest).map(([label, value]) => `${label}="${value}"`);
  return pairs.length || !name ? `${name}{${pairs.join(', ')}}` : name;
}
