/** Values of fields with their counts: a click includes, the minus excludes. Counts follow the search. */

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ApiError, get, isLocked } from '../api';
import { short, whole } from '../format';
import { Icon } from '../icons';
import { levelColor, LEVELS } from '../levels';
import { list, set } from '../url';
import { FACETS, type Facet, filterParams, include, isFacet, query, rangeParams, toggle } from './filters';
import { found } from './search';
import { term, withTerm } from './terms';
import { visible } from './text';

export interface Counted {
  value: string;
  count: number;
}

type Counts = Record<string, Counted[]>;

/** Values by field, as far as they are known. */
export const facets = signal<Counts>({});
/** Whether this server can count values of fields. */
const canCount = signal(true);

/** Values shown of a field before "more". */
const SHOWN = 6;
/** Fields shown before "more fields", those that most records have. */
const GROUPS_SHOWN = 14;
/** Stands for the list of fields itself among what is expanded. */
const ALL = '';
const expanded = signal<ReadonlySet<string>>(new Set());

/** Counts values whenever the search changes. */
export function useFacets(): void {
  const wanted = JSON.stringify([filterParams(), rangeParams()]);
  const locked = isLocked.value;
  useEffect(() => {
    if (locked || !canCount.peek()) return;
    const abort = new AbortController();
    void count(abort.signal);
    return () => abort.abort();
  }, [wanted, locked]);
}

async function count(abort: AbortSignal): Promise<void> {
  const range = rangeParams();
  const ask = (without?: Facet) => get<Counts>('/api/v1/logs/fields', { ...filterParams(without), ...range, fields: without }, abort);
  try {
    const counts = { ...(await ask()) };
    // A field that is filtered by shows what else there would be.
    const filtered = FACETS.filter((facet) => list(facet).length);
    const others = await Promise.all(filtered.map(ask));
    filtered.forEach((facet, at) => (counts[facet] = others[at]![facet] ?? []));
    facets.value = counts;
  } catch (error) {
    if (error instanceof ApiError && error.isMissing) canCount.value = false;
  }
}

export function Facets() {
  const counts = { ...facets.value };
  // The search itself counts levels, whatever the server can do beyond it.
  if (!counts.level && found.value) counts.level = Object.entries(found.value.levels).map(([value, count]) => ({ value, count }));
  const order = (name: string) => (isFacet(name) ? FACETS.indexOf(name) : FACETS.length);
  const names = Object.keys(counts).filter((name) => Array.isArray(counts[name]) && counts[name]!.length)
    .sort((a, b) => order(a) - order(b) || known(counts[b]!) - known(counts[a]!) || a.localeCompare(b));
  const shown = expanded.value.has(ALL) ? names : names.slice(0, GROUPS_SHOWN);
  return (
    <div class="facets">
      {shown.map((name) => <Group key={name} name={name} counted={counts[name]!} />)}
      {names.length > shown.length && (
        <button type="button" class="button small" onClick={() => (expanded.value = new Set([...expanded.value, ALL]))}>{names.length - shown.length} more fields</button>
      )}
      {!canCount.value && <p class="muted">Further fields are counted by newer versions of the server.</p>}
    </div>
  );
}

/** How many records have a field, as far as its shown values tell. */
function known(counted: Counted[]): number {
  return counted.reduce((sum, { count }) => sum + count, 0);
}

function Group({ name, counted }: { name: string; counted: Counted[] }) {
  const all = name === 'level' ? [...counted].sort((a, b) => rank(a.value) - rank(b.value)) : counted;
  const open = expanded.value.has(name);
  const chosen = isFacet(name) ? list(name) : [];
  const shown = open || name === 'level' ? all : all.filter(({ value }, at) => at < SHOWN || chosen.includes(value));
  const top = Math.max(1, ...all.map(({ count }) => count));
  return (
    <section>
      <h3>{name.replace(/^fields\./, '')}</h3>
      <ul>
        {shown.map(({ value, count }) => (
          <Value key={value} field={name} value={value} count={count} share={count / top} chosen={chosen.includes(value)} />
        ))}
      </ul>
      {all.length > shown.length && (
        <button type="button" class="button quiet small" onClick={() => (expanded.value = new Set([...expanded.value, name]))}>{all.length - shown.length} more</button>
      )}
    </section>
  );
}

function rank(level: string): number {
  return (LEVELS as readonly string[]).indexOf(level);
}

interface ValueProps extends Counted {
  field: string;
  share: number;
  chosen: boolean;
}

function Value({ field, value, count, share, chosen }: ValueProps) {
  const choose = () => (chosen && isFacet(field) ? toggle(field, value) : include(field, value));
  const exclude = () => set({ q: withTerm(query.value, `-${term(field, value)}`) });
  const name = visible(value) || '(empty)';
  return (
    <li class={chosen ? 'chosen' : undefined}>
      <button type="button" class="facet" aria-pressed={chosen} title={`${field}: ${name} – ${whole(count)}`} onClick={choose}>
        <span class="share" style={{ width: `${Math.max(2, share * 100)}%`, background: field === 'level' ? levelColor(value) : undefined }} />
        {field === 'level' && <i class="swatch" style={{ background: levelColor(value) }} />}
        <bdi>{name}</bdi>
        <span class="num">{short(count)}</span>
      </button>
      <button type="button" class="exclude" aria-label={`Without ${field} ${name}`} title="Without these" onClick={exclude}><Icon name="minus" /></button>
    </li>
  );
}
