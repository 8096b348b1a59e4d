/** Questions to the metrics: up to four queries, drawn in one chart, listed in a table, or as the server answers. */

import '../styles/explore.css';
import { useEffect, useState } from 'preact/hooks';
import { type Answer, call, type Num, queryText, type RangeAnswer } from '../api';
import { bytes, millis, plural, seriesName, unitOf } from '../format';
import { Icon } from '../icons';
import { useLoad } from '../load';
import { type Grid, toGrid } from '../series';
import { durationText } from '../time';
import { EditorField } from '../ui/editor';
import { ErrorNote } from '../ui/error-note';
import { copy } from '../ui/toast';
import { ViewsMenu } from '../ui/views-menu';
import { here, now, param, range, set } from '../url';
import { GraphView, type Drawn } from './graph-view';
import { NOTHING_HIDDEN } from './hidden';
import { MetricList } from './metric-list';
import { queryLanguage } from './query-language';
import { InstantTable } from './instant-table';

/** Parameters of the queries, in their order. */
const NAMES = ['q', 'q2', 'q3', 'q4'] as const;
const LETTERS = ['A', 'B', 'C', 'D'] as const;
const VIEWS = ['graph', 'table', 'json'] as const;

export function Explore() {
  const queries = NAMES.map(param);
  // An empty row at the end is open until it is filled or taken away.
  const [rows, setRows] = useState(1);
  const [written, setWritten] = useState<string[]>(queries);
  const count = Math.max(rows, 1 + queries.findLastIndex(Boolean));
  useEffect(() => setWritten(queries), [queries.join('\n')]);
  const run = (at?: number, text?: string) => {
    const next = written.map((one, index) => (index === at ? text! : one).trim());
    const again = next.join('\n') === queries.join('\n');
    set({ ...Object.fromEntries(NAMES.map((name, index) => [name, next[index] ?? ''])), ...(again ? {} : NOTHING_HIDDEN) }, again);
    if (again) now.value = Date.now();
  };
  const remove = (at: number) => {
    const next = queries.filter((_, index) => index !== at);
    setRows(Math.max(1, count - 1));
    set({ ...Object.fromEntries(NAMES.map((name, index) => [name, next[index] ?? ''])), ...NOTHING_HIDDEN });
  };
  const answers = NAMES.map((name) => useRange(param(name)));
  const view = VIEWS.find((one) => one === param('view')) ?? 'graph';
  const asked = queries.some(Boolean);
  return (
    <>
      <h1 class="sr-only">Explore</h1>
      <section class="queries" aria-label="Queries">
        {NAMES.slice(0, count).map((name, at) => (
          <div class="query" key={name}>
            <div class="query-row">
              {count > 1 && <span class="letter" aria-hidden="true">{LETTERS[at]}</span>}
              <EditorField value={queries[at]!} label={`Query ${LETTERS[at]}`} hint="rate error_count by service, or PromQL  ( / )" language={queryLanguage}
                onChange={(text) => setWritten((old) => old.map((one, index) => (index === at ? text : one)))} onSubmit={(text) => run(at, text)} />
              {count > 1 && <button type="button" class="button quiet" aria-label={`Take away query ${LETTERS[at]}`} onClick={() => remove(at)}><Icon name="close" /></button>}
              {at === 0 && <button type="button" class="button primary" onClick={() => run()}>Run</button>}
            </div>
            <Outcome query={queries[at]!} loaded={answers[at]!} />
          </div>
        ))}
        <div class="row">
          {count < NAMES.length && <button type="button" class="button quiet small" onClick={() => setRows(count + 1)}><Icon name="plus" /> Query</button>}
          <span class="spacer" />
          <ViewsMenu question={() => ({ query: queries.find(Boolean) ?? '' })} />
          {asked && (
            <>
              <div class="tabs small" role="group" aria-label="View">
                {VIEWS.map((one) => <a key={one} href={here({ view: one === 'graph' ? null : one })} aria-current={view === one ? 'true' : undefined}>{one}</a>)}
              </div>
              <button type="button" class="button quiet small" onClick={copyLink}><Icon name="link" /> Link</button>
              <button type="button" class="button quiet small" onClick={() => void copy(curl(queries.filter(Boolean)), 'Command')}><Icon name="copy" /> curl</button>
              <button type="button" class="button quiet small" onClick={() => void copy(csv(drawn(answers)), 'CSV')}><Icon name="copy" /> CSV</button>
            </>
          )}
        </div>
      </section>
      {!asked ? <MetricList /> : view === 'table' ? <InstantTable queries={queries.filter(Boolean)} />
        : view === 'json' ? <Json answers={answers.flatMap(({ data }) => (data ? [data.answer.body] : []))} />
          : answers.some(({ data, error }) => data && !error) && <GraphView drawn={drawn(answers)} />}
    </>
  );
}

interface Ranged {
  answer: Answer<RangeAnswer>;
  grid: Grid;
}

function useRange(query: string) {
  const { start, end } = range.value;
  const step = param('step');
  return useLoad(query ? `${query} ${start} ${end} ${step}` : null, async (abort): Promise<Ranged> => {
    const answer = await call<RangeAnswer>('/api/v1/metrics/range', { query, start, end, step: step || undefined }, abort);
    return { answer, grid: toGrid(answer.body) };
  });
}

type Loaded = ReturnType<typeof useRange>;

/** All series of all queries, each with the letter of its query when there are several. */
function drawn(answers: Loaded[]): Drawn[] {
  const several = answers.filter(({ data }) => data).length > 1;
  // What an earlier text found is no answer to one with a mistake.
  return answers.flatMap(({ data, error }, at) => (error ? [] : data?.grid.series ?? []).map((series) => {
    const name = Object.keys(series.labels).length ? seriesName(series.labels) : data!.answer.body.query;
    return { ...series, times: data!.grid.times, unit: unitOf(data!.answer.body.query), query: at, name: several ? `${LETTERS[at]} ${name}` : name };
  }));
}

/** What a query found and cost, or what is wrong with it. */
function Outcome({ query, loaded }: { query: string; loaded: Loaded }) {
  if (!query) return null;
  if (loaded.error) return <ErrorNote error={loaded.error} text={query} />;
  if (!loaded.data) return <p class="cost muted">…</p>;
  const { body, ms, bytes: size } = loaded.data.answer;
  const points = body.result.reduce((sum, one) => sum + one.values.length, 0);
  return (
    <p class="cost muted" role="status">
      {plural(body.result.length, 'series', 'series')} · {plural(points, 'point')} · step {durationText(body.step)} · {millis(ms)} · {bytes(size)}
      {body.promql && body.promql !== query && <> · in PromQL <code>{body.promql}</code></>}
    </p>
  );
}

function copyLink(): void {
  const { start, end } = range.value;
  void copy(window.location.origin + here({ from: String(start), to: String(end) }), 'Link');
}

/** A command per query, a line each. */
function curl(queries: string[]): string {
  const { start, end } = range.value;
  const step = param('step');
  const url = (query: string) => `${window.location.origin}/api/v1/metrics/range${queryText({ query, start, end, step })}`;
  return queries.map((query) => `curl '${url(query).replaceAll("'", '%27')}'`).join('\n');
}

function csv(series: Drawn[]): string {
  const quote = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const rows = series.flatMap((one) => one.values.map((value, at) => (value === null ? '' : `${quote(one.name)},${one.times[at]},${value}`)).filter(Boolean));
  return ['series,time_ms,value', ...rows].join('\n');
}

/** Characters of an answer that are shown. */
const JSON_SHOWN = 200_000;

function Json({ answers }: { answers: { result: { labels: object; values: [number, Num][] }[] }[] }) {
  const text = JSON.stringify(answers.length === 1 ? answers[0] : answers, null, 1);
  return (
    <section class="panel json">
      <pre class="mono">{text.slice(0, JSON_SHOWN)}</pre>
      {text.length > JSON_SHOWN && <p class="muted">… and {bytes(text.length - JSON_SHOWN)} more; the call itself gives all.</p>}
    </section>
  );
}
