/** The chart and the list of its series: a click on one shows it alone, a click on its mark hides it. */

import { useState } from 'preact/hooks';
import { alerts, useFirings } from '../firing';
import type { Unit } from '../format';
import { Icon } from '../icons';
import { type Series, summary, type Summary } from '../series';
import { Chart } from '../ui/chart';
import { swatch } from '../ui/swatch';
import { useRowKeys } from '../ui/row-keys';
import { href, range, zoom } from '../url';
import { hiddenOf, hideOf } from './hidden';

export interface Drawn extends Series {
  name: string;
  times: number[];
  unit: Unit;
  /** Place of its query among those of the page. */
  query: number;
}

/** Most series that are drawn; the largest are. */
const DRAWN_MAX = 500;
/** Most rows of the list below, at first. */
const LISTED = 50;
const COLUMNS = ['last', 'min', 'avg', 'max'] as const;

interface Props {
  drawn: Drawn[];
}

interface Row extends Drawn {
  color: number;
  figures: Summary;
}

export function GraphView({ drawn }: Props) {
  const [sort, setSort] = useState<(typeof COLUMNS)[number]>('last');
  const [all, setAll] = useState(false);
  const bands = useFirings(alerts.value ?? []);
  useRowKeys();
  const rows: Row[] = drawn.map((series, color) => ({ ...series, color, figures: summary(series.values) }));
  const names = drawn.map(({ name }) => name);
  const hidden = hiddenOf(names);
  const figure = (row: Row, column: keyof Summary) => row.figures[column] ?? -Infinity;
  const sorted = [...rows].sort((a, b) => figure(b, sort) - figure(a, sort));
  const shown = rows.length > DRAWN_MAX ? [...rows].sort((a, b) => figure(b, 'max') - figure(a, 'max')).slice(0, DRAWN_MAX) : rows;
  const { start, end } = range.value;
  const alone = (name: string) => {
    const others = rows.filter((row) => row.name !== name).map((row) => row.name);
    const isAlone = !hidden.has(name) && others.every((other) => hidden.has(other)) && others.length > 0;
    hideOf(names, new Set(isAlone ? [] : others));
  };
  const flip = (name: string) => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    hideOf(names, next);
  };
  if (!drawn.length) return <p class="panel empty roomy">No series in this range.</p>;
  return (
    <>
      <section class="panel graph">
        <Chart times={drawn[0]!.times} unit={drawn[0]!.unit} height={340} start={start} end={end} bands={bands} onZoom={zoom} label={`${rows.length} series over time; the table below has their figures`}
          lines={shown.map((row) => ({ name: row.name, values: row.values, color: row.color, dash: row.query, unit: row.unit, hidden: hidden.has(row.name) }))} />
        {rows.length > DRAWN_MAX && <p class="muted">The {DRAWN_MAX} largest of {rows.length} series are drawn.</p>}
      </section>
      <section class="panel table-panel">
        <table class="legend">
          <thead>
            <tr>
              <th>Series</th>
              {COLUMNS.map((column) => (
                <th key={column} class="num" aria-sort={sort === column ? 'descending' : undefined}>
                  <button type="button" class="sort" onClick={() => setSort(column)}>{column}{sort === column && ' ↓'}</button>
                </th>
              ))}
              <th class="wide-only"><span class="sr-only">Logs</span></th>
            </tr>
          </thead>
          <tbody>
            {(all ? sorted : sorted.slice(0, LISTED)).map((row) => (
              <tr key={row.name} class={hidden.has(row.name) ? 'hidden' : undefined}>
                <td class="series-cell">
                  <button type="button" class="mini" aria-pressed={!hidden.has(row.name)} aria-label={`Show ${row.name}`} title="Show or hide" onClick={() => flip(row.name)}>
                    <i class="swatch" style={{ background: hidden.has(row.name) ? 'none' : swatch(row.color, row.query), borderColor: `var(--series-${row.color % 8})` }} />
                  </button>
                  <button type="button" class="series-name" data-row title="Show this one alone, or all again" onClick={() => alone(row.name)}><bdi>{row.name}</bdi></button>
                </td>
                {COLUMNS.map((column) => <td key={column} class="num" data-name={column}>{row.figures[column] === null ? '–' : row.unit(row.figures[column])}</td>)}
                <td class="wide-only"><LogsLink labels={row.labels} /></td>
              </tr>
            ))}
          </tbody>
        </table>
        {!all && sorted.length > LISTED && <p class="empty"><button type="button" class="button small" onClick={() => setAll(true)}>Show all {sorted.length} series</button></p>}
      </section>
    </>
  );
}

/** Logs share service, level and host with the metrics that were made from them. */
function LogsLink({ labels }: { labels: Record<string, string> }) {
  const { service = '', level = '', host = '' } = labels;
  if (!service && !level && !host) return null;
  return <a class="button quiet small" href={href('/logs', { service, level, host })} title="Logs of these labels"><Icon name="logs" /> logs</a>;
}
