/** What goes on, at a glance: figures with their past, volume by level, what fires, and who sends how much. */

import { get, queryText, type RangeAnswer, type SearchAnswer } from '../api';
import { alerts, useFirings } from '../firing';
import { bytes, millis, percent, short } from '../format';
import { ERRORS } from '../levels';
import { type Loaded, useLoad } from '../load';
import { EMPTY, type Grid, last, toGrid } from '../series';
import { durationText } from '../time';
import { ErrorNote } from '../ui/error-note';
import { LevelLegend, StackedBars } from '../ui/stacked-bars';
import { href, range, zoom } from '../url';
import { Firing } from './firing';
import { Kpi } from './kpi';
import { asked, OWN_SERVICE, QUERIES, type QueryName } from './queries';
import { SendData } from './send-data';
import { SeriesPanel } from './series-panel';

const DAY_MS = 86_400_000;

export function Overview() {
  const { start, end } = range.value;
  const { stepS, window } = asked(end - start);
  const key = `${start}-${end}`;
  const ask = (name: QueryName): Asking => {
    const query = QUERIES[name](window);
    const load = async (abort: AbortSignal) => toGrid(await get<RangeAnswer>('/api/v1/metrics/range', { query, start, end, step: stepS }, abort));
    return { query, loaded: useLoad(`${name} ${key}`, load) };
  };
  const volume = useLoad(key, (abort) => get<SearchAnswer>('/api/v1/logs/search', { start, end, limit: 0, buckets: 90 }, abort));
  const [lines, errors, p95, p99, disk] = [ask('lines'), ask('errors'), ask('p95'), ask('p99'), ask('disk')] as const;
  const before = useBefore(window, end);
  const byService = ask('linesByService');
  const onlyOwn = byService.loaded.data !== undefined && byService.loaded.data.series.every((one) => one.labels.service === OWN_SERVICE);
  const bands = useFirings(alerts.value ?? []);
  const panel = (askings: Asking[]) => ({ askings, start, end, bands });
  const note = `last ${window}`;
  const shareOfErrors = ratio(values(errors), values(lines));
  return (
    <>
      <h1 class="sr-only">Overview</h1>
      <div class="kpis">
        <Kpi name="Errors" pending={isPending(lines)} href={logsLink({ level: ERRORS.join(',') })} value={last(shareOfErrors)} before={quotient(before.errors, before.lines)}
          unit={percent} note={note} values={shareOfErrors} worse="up" color="var(--level-error)" empty="no lines yet" />
        <Kpi name="p95" pending={isPending(p95)} href={exploreLink(p95.query)} value={last(values(p95))} before={before.p95} unit={millis} note={note} values={values(p95)} worse="up"
          empty="no durations yet" />
        <Kpi name="p99" pending={isPending(p99)} href={exploreLink(p99.query)} value={last(values(p99))} before={before.p99} unit={millis} note={note} values={values(p99)} worse="up"
          empty="no durations yet" />
        <Kpi name="Lines" pending={isPending(lines)} href={exploreLink(lines.query)} value={last(values(lines))} before={before.lines} unit={perSecond} note={note} values={values(lines)}
          empty="no lines yet" />
        <Kpi name="Disk used" pending={isPending(disk)} href={exploreLink(disk.query)} value={last(values(disk))} before={undefined} unit={percent} note="of the data disk" values={values(disk)}
          empty="not measured yet" />
      </div>
      {onlyOwn && <SendData />}
      <div class="grid">
        <section class="panel span-2">
          <header>
            <h2><a href={logsLink({})}>Lines by level</a></h2>
            {volume.data && <LevelLegend levels={volume.data.levels} />}
          </header>
          {volume.error && <ErrorNote error={volume.error} />}
          <StackedBars histogram={volume.data?.histogram} label="Lines by level" onZoom={zoom} />
        </section>
        <Firing />
        <SeriesPanel title="Errors by service" unit={perSecond} {...panel([ask('errorsByService')])} by="service"
          empty="No errors in this range." />
        <SeriesPanel title="Latency" unit={millis} {...panel([p95, p99])} names={['p95', 'p99']}
          empty="Send lines with duration_ms, and the percentiles appear." />
        <SeriesPanel title="Lines by service" unit={perSecond} {...panel([byService])} by="service" empty="No lines in this range." />
        <SeriesPanel title="Accepted, by way in" unit={perSecond} {...panel([ask('bySource')])} by="source"
          empty="Nothing was sent in this range." />
        <SeriesPanel title="Behind the queue" unit={(value) => millis(value * 1000)} {...panel([ask('lag')])} by="consumer"
          empty="Not measured yet." />
        <SeriesPanel title="Memory of the server" unit={bytes} {...panel([ask('memory')])} names={['resident']} empty="Not measured yet." />
      </div>
      <p class="calls muted">
        One step is {durationText(stepS * 1000)}, rates and percentiles look back {window}. The same by API:{' '}
        <a href={`/api/v1/metrics/range${queryText({ query: p95.query, start, end, step: stepS })}`} target="_blank">/api/v1/metrics/range</a>
      </p>
    </>
  );
}

export interface Asking {
  query: string;
  loaded: Loaded<Grid>;
}

function values(asking: Asking): (number | null)[] {
  return (asking.loaded.data ?? EMPTY).series[0]?.values ?? [];
}

function isPending({ loaded }: Asking): boolean {
  return !loaded.data && !loaded.error;
}

/** Quotients place by place; none where nothing was counted. */
function ratio(part: (number | null)[], all: (number | null)[]): (number | null)[] {
  return all.map((count, at) => quotient(part[at] ?? 0, count) ?? null);
}

function quotient(part: number | null | undefined, all: number | null | undefined): number | undefined {
  return all ? (part ?? 0) / all : undefined;
}

function perSecond(value: number): string {
  return `${short(value)}/s`;
}

export function exploreLink(...queries: string[]): string {
  return href('/explore', { q: queries[0] ?? '' });
}

export function logsLink(filter: Record<string, string>): string {
  return href('/logs', filter);
}

type Before = Partial<Record<'lines' | 'errors' | 'p95' | 'p99', number>>;

/** The figures of a day before, asked for once a minute. */
function useBefore(window: string, end: number): Before {
  const minute = Math.floor((end - DAY_MS) / 60_000) * 60_000;
  const loaded = useLoad(`${window} ${minute}`, async (abort) => {
    const names = ['lines', 'errors', 'p95', 'p99'] as const;
    const found: Before = {};
    await Promise.all(names.map(async (name) => {
      const answer = await get<{ value?: number | string }>('/api/v1/metrics/query', { query: QUERIES[name](window), time: minute }, abort);
      if (typeof answer.value === 'number') found[name] = answer.value;
    }));
    return found;
  });
  return loaded.data ?? {};
}
