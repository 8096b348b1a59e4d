/** From the answer of a range query to lines on one grid of times. */

import { type Labels, type RangeAnswer, toNumber } from './api';

export interface Series {
  labels: Labels;
  /** One per time of the grid; null where there is none. */
  values: (number | null)[];
}

export interface Grid {
  times: number[];
  series: Series[];
}

export const EMPTY: Grid = { times: [], series: [] };

export function toGrid(answer: RangeAnswer): Grid {
  const times: number[] = [];
  for (let at = answer.start; at <= answer.end; at += answer.step) times.push(at);
  const series = answer.result.map(({ labels, values }) => {
    const row: (number | null)[] = new Array(times.length).fill(null);
    for (const [at, value] of values) {
      const number = toNumber(value);
      row[Math.round((at - answer.start) / answer.step)] = Number.isFinite(number) ? number : null;
    }
    return { labels, values: row };
  });
  return { times, series };
}

/** The newest value; null if there is none at the end of the range. */
export function last(values: (number | null)[]): number | null {
  return values.at(-1) ?? values.at(-2) ?? null;
}

export interface Summary {
  last: number | null;
  min: number | null;
  avg: number | null;
  max: number | null;
}

export function summary(values: (number | null)[]): Summary {
  let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    count += 1;
    sum += value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  if (!count) return { last: null, min: null, avg: null, max: null };
  return { last: last(values), min, avg: sum / count, max };
}
