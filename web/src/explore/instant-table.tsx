/** The values at the end of the range, a row per series and a column per label. */

import { get, type InstantAnswer, toNumber } from '../api';
import { unitOf } from '../format';
import { useLoad } from '../load';
import { localDateTime } from '../time';
import { ErrorNote } from '../ui/error-note';
import { range } from '../url';

const ROWS_MAX = 1000;

export function InstantTable({ queries }: { queries: string[] }) {
  return <>{queries.map((query) => <One key={query} query={query} />)}</>;
}

function One({ query }: { query: string }) {
  const time = range.value.end;
  const loaded = useLoad(`instant ${query} ${time}`, (abort) => get<InstantAnswer>('/api/v1/metrics/query', { query, time }, abort));
  if (loaded.error) return <ErrorNote error={loaded.error} text={query} />;
  if (!loaded.data) return null;
  const rows = loaded.data.result.map(({ labels, value }) => ({ labels, value: toNumber(value) })).sort((a, b) => b.value - a.value);
  const labels = [...new Set(rows.flatMap((row) => Object.keys(row.labels)))].sort();
  const unit = unitOf(query);
  return (
    <section class="panel table-panel scrolls" tabIndex={0} aria-label={query}>
      <header><h2><code>{query}</code></h2><span class="muted num">at {localDateTime(time)}</span></header>
      <table>
        <thead><tr>{labels.map((label) => <th key={label}>{label === '__name__' ? 'metric' : label}</th>)}<th class="num">value</th></tr></thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map((row) => (
            <tr key={JSON.stringify(row.labels)}>
              {labels.map((label) => <td key={label}><bdi>{row.labels[label] ?? ''}</bdi></td>)}
              <td class="num" title={String(row.value)}>{unit(row.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {!rows.length && <p class="empty">No value at this time.</p>}
      {rows.length > ROWS_MAX && <p class="muted">and {rows.length - ROWS_MAX} more</p>}
    </section>
  );
}
