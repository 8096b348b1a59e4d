/** All metrics with their kind; a click asks a first question. What the page shows before there is a query. */

import { useEffect, useState } from 'preact/hooks';
import { plural } from '../format';
import { useLoad } from '../load';
import { ErrorNote } from '../ui/error-note';
import { useRowKeys } from '../ui/row-keys';
import { here } from '../url';
import { firstQuery, loadMetrics, metrics } from './metrics';

const SHOWN = 100;

export function MetricList() {
  const [filter, setFilter] = useState('');
  const [all, setAll] = useState(false);
  useRowKeys();
  const loaded = useLoad('metrics', () => loadMetrics());
  useEffect(() => setAll(false), [filter]);
  if (loaded.error) return <ErrorNote error={loaded.error} />;
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matching = metrics.value.filter((metric) => words.every((word) => metric.name.toLowerCase().includes(word)));
  // Those of the user first, our own after them.
  const own = (name: string) => /^(watchfire_|process_|ALERTS)/.test(name);
  const sorted = [...matching].sort((a, b) => Number(own(a.name)) - Number(own(b.name)) || a.name.localeCompare(b.name));
  return (
    <section class="panel table-panel metric-list">
      <header>
        <h2>{plural(metrics.value.length, 'metric')}</h2>
        <input type="text" class="filter" aria-label="Filter metrics" placeholder="Filter" spellcheck={false} value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
      </header>
      <ul>
        {(all ? sorted : sorted.slice(0, SHOWN)).map((metric) => (
          <li key={metric.name}>
            <a data-row href={here({ q: firstQuery(metric) })}><b>{metric.name}</b></a>
            <span class="muted">{metric.type} · {plural(metric.series, 'series', 'series')}</span>
            <span class="muted labels">{metric.help || metric.labels.filter((label) => !['instance', 'job'].includes(label)).join(', ')}</span>
          </li>
        ))}
      </ul>
      {!all && sorted.length > SHOWN && <p class="empty"><button type="button" class="button small" onClick={() => setAll(true)}>Show all {sorted.length}</button></p>}
    </section>
  );
}
