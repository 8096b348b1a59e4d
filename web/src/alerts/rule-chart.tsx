/** A rule's query over the range of the page, with its limit across. */

import { type Alert, get, type RangeAnswer } from '../api';
import { alerts, useFirings } from '../firing';
import { seriesName, unitOf } from '../format';
import { useLoad } from '../load';
import { toGrid } from '../series';
import { Chart } from '../ui/chart';
import { ErrorNote } from '../ui/error-note';
import { range, zoom } from '../url';
import { nameOf } from './name';

const LINES_MAX = 30;

interface Props {
  /** What its alerts are called. */
  name: string;
  query: string;
  threshold: number;
  /** The alert whose line alone is meant. All lines without. */
  alert?: Alert;
}

export function RuleChart({ name, query, threshold, alert }: Props) {
  const { start, end } = range.value;
  const loaded = useLoad(`${query} ${start} ${end}`, (abort) => get<RangeAnswer>('/api/v1/metrics/range', { query, start, end }, abort));
  const own = alert ? [alert] : (alerts.value ?? []).filter((one) => nameOf(one) === name);
  const bands = useFirings(own, { ...alert?.labels, alertname: name });
  if (loaded.error) return <ErrorNote error={loaded.error} text={query} />;
  const grid = loaded.data ? toGrid(loaded.data) : { times: [], series: [] };
  const meant = grid.series.filter((series) => !alert || Object.entries(series.labels).every(([label, value]) => label === '__name__' || alert.labels[label] === value));
  return (
    <Chart times={grid.times} start={start} end={end} unit={unitOf(query)} height={160} threshold={threshold} bands={bands} onZoom={zoom} label={`${query}, limit ${threshold}`}
      lines={meant.slice(0, LINES_MAX).map((series, color) => ({ name: seriesName(series.labels), values: series.values, color }))} />
  );
}
