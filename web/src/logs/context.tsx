/** The lines before and after a record: of the same service and host, or of all. */

import { get, type LogRecord } from '../api';
import { levelColor } from '../levels';
import { useLoad } from '../load';
import { clock } from '../time';
import { ErrorNote } from '../ui/error-note';
import { param, set } from '../url';
import { oneLine, visible } from './text';

interface ContextAnswer {
  before: LogRecord[];
  record: LogRecord;
  after: LogRecord[];
}

const STEP = 10;
/** The most that the API gives on each side. */
const SIZE_MAX = 1000;

export function Context({ record }: { record: LogRecord }) {
  const size = Math.min(SIZE_MAX, Math.max(1, Number.parseInt(param('around'), 10) || STEP));
  const scope = param('scope') === 'all' ? 'all' : '';
  const loaded = useLoad(`context ${record.id} ${size} ${scope}`, (abort) =>
    get<ContextAnswer>('/api/v1/logs/context', { id: record.id, before: size, after: size, scope }, abort));
  if (loaded.error) return <ErrorNote error={loaded.error} />;
  if (!loaded.data) return <p class="muted">…</p>;
  const { before, after } = loaded.data;
  return (
    <section class="context" aria-label="Around this record">
      <div class="row">
        <h3>Around it</h3>
        <button type="button" class="button small" aria-pressed={scope === ''} onClick={() => set({ scope: null }, true)}>same service and host</button>
        <button type="button" class="button small" aria-pressed={scope === 'all'} onClick={() => set({ scope: 'all' }, true)}>all</button>
        {size < SIZE_MAX && <button type="button" class="button small" onClick={() => set({ around: String(size + STEP) }, true)}>± {Math.min(SIZE_MAX, size + STEP)}</button>}
      </div>
      <ol>
        {before.map((one) => <Line key={one.id} record={one} />)}
        <Line record={record} itself />
        {after.map((one) => <Line key={one.id} record={one} />)}
      </ol>
    </section>
  );
}

function Line({ record, itself }: { record: LogRecord; itself?: boolean }) {
  return (
    <li aria-current={itself ? 'true' : undefined}>
      <time title={record.timestamp}>{clock(Date.parse(record.timestamp), true)}</time>
      <span class="level" style={{ '--level': levelColor(record.level) }}>{record.level}</span>
      <bdi class="service">{visible(record.service ?? '')}</bdi>
      <bdi>{oneLine(record.message)}</bdi>
    </li>
  );
}
