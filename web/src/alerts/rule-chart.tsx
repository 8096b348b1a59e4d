/** A rule's query over the range of the page, with its limit across. */

import { get, type Labels, type RangeAnswer } from '../api';
import { seriesName, unitOf } from '../format';
import { useLoad } from '../load';
import { toGrid } from '../series';
import { Chart } from '../ui/chart';
import { ErrorNote } from '../ui/error-note';
import { range, zoom } from '../url';

const LINES_MAX = 30;

interface Props {
  query: string;
  threshold: number;
  /** Of the alert: the line that it is about, alone. All lines without. */
  labels?: Labels;
}

export function RuleChart({ query, threshold, labels }: Props) {
  const { start, end } = range.value;
  const loaded = useLoad(`${query} ${start} ${end}`, (abort) => get<RangeAnswer>('/api/v1/metrics/range', { query, start, end }, abort));
  if (loaded.error) return <ErrorNote error={loaded.error} text={query} />;
  const grid = loaded.data ? toGrid(loaded.data) : { times: [], series: [] };
  const meant = grid.series.filter((series) => !labels || Object.entries(series.labels).every(([name, value]) => name === '__name__' || labels[name] === value));
  return (
    <Chart times={grid.times} start={start} end={end} unit={unitOf(query)} height={160} threshold={threshold} onZoom={zoom} label={`${query}, limit ${threshold}`}
      lines={meant.slice(0, LINES_MAX).map((series, color) => ({ name: seriesName(series.labels), values: series.values, color }))} />
  );
}
