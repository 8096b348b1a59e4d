/** A chart of one or more queries with its legend; the title leads to the query. */

import type { Band } from '../firing';
import type { Unit } from '../format';
import { last, type Series } from '../series';
import { Chart } from '../ui/chart';
import { ErrorNote } from '../ui/error-note';
import { zoom } from '../url';
import { type Asking, exploreLink } from './overview';

/** Most lines of a chart that is only looked at in passing. */
const LINES_MAX = 8;
const HEIGHT = 150;

interface Props {
  title: string;
  unit: Unit;
  askings: Asking[];
  start: number;
  end: number;
  /** When alerts fired. */
  bands: Band[];
  /** The label that tells the lines apart. */
  by?: string;
  /** Names of the queries, one line each. */
  names?: string[];
  empty: string;
}

interface Named extends Series {
  name: string;
}

export function SeriesPanel({ title, unit, askings, start, end, bands, by, names, empty }: Props) {
  const error = askings.find((asking) => asking.loaded.error)?.loaded.error;
  const all: Named[] = askings.flatMap(({ loaded }, at) =>
    (loaded.data?.series ?? []).map((series) => ({ ...series, name: (by && series.labels[by]) || names?.[at] || 'all' })));
  const largest = all.map((series) => ({ series, size: Math.max(0, ...series.values.map((value) => value ?? 0)) }))
    .filter(({ size, series }) => size > 0 || series.values.some((value) => value !== null))
    .sort((a, b) => b.size - a.size).slice(0, LINES_MAX).map(({ series }) => series);
  // By name, so that a line keeps its colour while sizes change.
  const shown = largest.sort((a, b) => a.name.localeCompare(b.name));
  const times = askings[0]?.loaded.data?.times ?? [];
  const loaded = askings.every(({ loaded: one }) => one.data);
  return (
    <section class="panel">
      <header>
        <h2><a href={exploreLink(...askings.map(({ query }) => query))}>{title}</a></h2>
        <ul class="legend-row">
          {shown.map((series, at) => {
            const value = last(series.values);
            return <li key={series.name}><i style={{ background: `var(--series-${at})` }} />{series.name} {value !== null && <b class="num">{unit(value)}</b>}</li>;
          })}
          {all.length > shown.length && shown.length === LINES_MAX && <li class="muted">of {all.length}</li>}
        </ul>
      </header>
      {error && <ErrorNote error={error} />}
      {loaded && !shown.length && !error ? <p class="empty" style={{ height: `${HEIGHT}px` }}>{empty}</p> : (
        <Chart times={times} unit={unit} height={HEIGHT} start={start} end={end} bands={bands} onZoom={zoom}
          label={`${title}: ${shown.map((series) => `${series.name} ${unit(last(series.values) ?? NaN)}`).join(', ')}`}
          lines={shown.map((series, color) => ({ name: series.name, values: series.values, color }))} />
      )}
    </section>
  );
}
