/** Log search: box, histogram, facets, lines; and the live tail of the same search. */

import '../styles/logs.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { isLocked, type LogRecord, reachable } from '../api';
import { millis, plural, whole } from '../format';
import { Icon } from '../icons';
import { useKeys } from '../keys';
import { EditorField } from '../ui/editor';
import { ErrorNote } from '../ui/error-note';
import { LevelLegend, StackedBars } from '../ui/stacked-bars';
import { copy } from '../ui/toast';
import { ViewsMenu } from '../ui/views-menu';
import { VirtualList } from '../ui/virtual-list';
import { here, list, now, param, range, set, zoom } from '../url';
import { Facets, useFacets } from './facets';
import { FACETS, filterParams, isLive, oldestFirst, query, toggle } from './filters';
import { Detail, Row, toggleContext } from './row';
import { cancel, found, hasMore, KEPT_MAX, loading, more, problem, records, useSearch } from './search';
import { searchLanguage } from './search-language';
import { clear, dropped, follow, paused, shown, status, tailProblem, waiting } from './tail';
import { visible } from './text';

const DAY_MS = 86_400_000;
const ROW_HEIGHT = 26;
/** A row on a narrow page has two lines. */
const NARROW_ROW_HEIGHT = 46;
const narrow = window.matchMedia('(max-width: 720px)');

function toggleLive(): void {
  set({ live: isLive.peek() ? null : '1', open: null, context: null });
}

export function Logs() {
  // Whether there are lines or not.
  useKeys([
    { keys: 'l', does: 'follow new lines, or stop', run: toggleLive },
    { keys: 'y', does: 'copy a link with fixed times', run: copyLink },
  ]);
  const [written, setWritten] = useState(query.value);
  const [showsFacets, setShowsFacets] = useState(false);
  useEffect(() => setWritten(query.value), [query.value]);
  const live = isLive.value;
  const run = (text: string) => {
    const again = text.trim() === query.value;
    set({ q: text.trim(), open: null, context: null }, again);
    // The same search again shows what is new.
    if (again) now.value = Date.now();
  };
  return (
    <div class="logs">
      <h1 class="sr-only">Logs</h1>
      <form class="search-bar" role="search" onSubmit={(event) => {
        event.preventDefault();
        run(written);
      }}>
        <EditorField value={query.value} label="Search" hint='level:error "connection refused"  ( / )' language={searchLanguage} onSubmit={run} onChange={setWritten} />
        {loading.value && !live ? <button type="button" class="button" onClick={cancel}>Cancel</button>
          : <button type="submit" class="button primary" aria-label="Search"><Icon name="search" /> <span class="wide-only">Search</span></button>}
        <button type="button" class="button" aria-pressed={live} title="Follow new lines (l)" onClick={toggleLive}>
          <Icon name="live" /> Live
        </button>
      </form>
      <Chips onFacets={() => setShowsFacets(!showsFacets)} showsFacets={showsFacets} />
      {live ? <LiveView /> : <SearchView showsFacets={showsFacets} />}
    </div>
  );
}

/** What is filtered by beside the text, each to be taken away again. */
function Chips({ onFacets, showsFacets }: { onFacets: () => void; showsFacets: boolean }) {
  const chosen = FACETS.flatMap((facet) => list(facet).map((value) => ({ facet, value })));
  return (
    <div class="row filters">
      {!isLive.value && <button type="button" class="button small facets-button" aria-expanded={showsFacets} onClick={onFacets}><Icon name="filter" /> Fields</button>}
      {chosen.map(({ facet, value }) => (
        <button key={`${facet} ${value}`} type="button" class="chip on" title="Take this filter away" onClick={() => toggle(facet, value)}>
          {facet}: <bdi>{visible(value)}</bdi> <Icon name="close" />
        </button>
      ))}
    </div>
  );
}

function SearchView({ showsFacets }: { showsFacets: boolean }) {
  useSearch();
  useFacets();
  const answer = found.value;
  const list = records.value;
  if (problem.value && !answer) return <ErrorNote error={problem.value} text={query.value} />;
  return (
    <>
      {problem.value && <ErrorNote error={problem.value} text={query.value} />}
      <section class="panel volume">
        <header>
          <p class="stats" role="status">
            {answer && <><b>{plural(answer.total, 'line')}</b>{!answer.total_exact && ' at least'} <span class="muted">· {millis(answer.took_ms)}{answer.damaged_blocks ? ` · ${plural(answer.damaged_blocks, 'block')} could not be read` : ''}</span></>}
          </p>
          {answer && <LevelLegend levels={answer.levels} />}
        </header>
        <StackedBars histogram={answer?.histogram} label="Lines by level" onZoom={zoom} />
      </section>
      <div class={`results${showsFacets ? ' with-facets' : ''}`}>
        <aside class="panel" aria-label="Fields"><Facets /></aside>
        <section class="panel lines" aria-label="Lines">
          <header>
            <button type="button" class="button quiet small" title="Turn the order around" onClick={() => set({ order: oldestFirst.value ? null : 'asc' })}>
              {oldestFirst.value ? 'oldest first ↓' : 'newest first ↓'}
            </button>
            <span class="spacer" />
            <span class="muted num">{list.length ? <>{whole(list.length)} of {whole(answer?.total ?? 0)}<span class="wide-only"> loaded</span></> : ''}</span>
            <ViewsMenu question={question} />
            <button type="button" class="button quiet small" title="Copy a link whose times stay as they are (y)" aria-label="Link" onClick={copyLink}><Icon name="link" /> <span class="wide-only">Link</span></button>
          </header>
          {answer && !list.length ? <Nothing /> : <Lines items={list} onEnd={() => void more()} />}
          {list.length >= KEPT_MAX && hasMore() && <p class="muted end">These are {whole(KEPT_MAX)} lines; narrow the search to see the others.</p>}
        </section>
      </div>
    </>
  );
}

function copyLink(): void {
  const { start, end } = range.value;
  void copy(window.location.origin + here({ from: String(start), to: String(end) }), 'Link');
}

/** The search as the API takes it, without what it leaves open. */
function question(): Record<string, string> {
  const { q = '', ...filters } = filterParams();
  return { q, ...Object.fromEntries(Object.entries(filters).filter(([, value]) => value)) };
}

function Nothing() {
  return (
    <div class="empty roomy column">
      <p>No line of this range meets the search.</p>
      <div class="row">
        <a class="button" href={here({ from: 'now-1d', to: null })}>Look at the last day</a>
        <a class="button" href={here({ q: null, level: null, service: null, source: null, host: null })}>Search for everything</a>
      </div>
      <p class="muted">Send a line: <code>curl {window.location.origin}/ingest -d '{'{"message":"hello"}'}'</code></p>
    </div>
  );
}

interface LinesProps {
  items: LogRecord[];
  onEnd?: () => void;
  followEnd?: boolean;
  onFollow?: (follows: boolean) => void;
}

function Lines({ items, onEnd, followEnd, onFollow }: LinesProps) {
  const linked = param('open');
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set(linked ? [linked] : []));
  const [selected, setSelected] = useState(-1);
  const [isNarrow, setNarrow] = useState(narrow.matches);
  useEffect(() => {
    const changed = () => setNarrow(narrow.matches);
    narrow.addEventListener('change', changed);
    return () => narrow.removeEventListener('change', changed);
  }, []);
  // Several may be opened before the list is drawn again.
  const latest = useRef(open);
  const toggleOpen = (id: string) => {
    const next = new Set(latest.current);
    if (!next.delete(id)) next.add(id);
    latest.current = next;
    setOpen(next);
    if (followEnd) onFollow?.(false);
    // The newest opened record is the one that a link shows.
    set({ open: next.has(id) ? id : null }, true);
  };
  const move = (by: number) => {
    if (followEnd) onFollow?.(false);
    setSelected((old) => Math.min(items.length - 1, Math.max(0, old < 0 ? (followEnd ? items.length - 1 : 0) : old + by)));
  };
  useEffect(() => {
    document.querySelector<HTMLElement>(`[data-index="${selected}"]`)?.focus({ preventScroll: true });
  }, [selected]);
  const current = items[selected];
  useKeys([
    { keys: 'j', does: 'next line', run: () => move(1) },
    { keys: 'k', does: 'line before', run: () => move(-1) },
    { keys: 'x', does: 'open or close the line', run: () => current && toggleOpen(current.id) },
    {
      keys: 'c', does: 'context of the line',
      run: () => {
        if (!current) return;
        const wasOpen = open.has(current.id);
        if (!wasOpen) toggleOpen(current.id);
        if (wasOpen || param('context') !== current.id) toggleContext(current.id);
      },
    },
  ]);
  const days = range.value.end - range.value.start > DAY_MS;
  return (
    <VirtualList items={items} rowHeight={isNarrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT} keyOf={(record) => record.id} open={open} label="Log lines"
      reveal={selected} onEnd={onEnd} followEnd={followEnd} onFollow={onFollow}
      row={(record, index) => (
        <Row record={record} index={index} open={open.has(record.id)} selected={index === selected} days={days} onToggle={() => toggleOpen(record.id)} />
      )}
      detail={(record) => <Detail record={record} />} />
  );
}

function LiveView() {
  const wanted = JSON.stringify([query.value, ...FACETS.map(param)]);
  const locked = isLocked.value;
  useEffect(() => (locked ? undefined : follow()), [wanted, locked]);
  const holds = paused.value;
  // The bar of the page says already that the server does not answer, and what comes of it.
  const isAway = tailProblem.value?.status === 0 && !reachable.value;
  const isLost = status.value === 'lost' || (status.value === 'connecting' && isAway);
  const state = isLost ? `connection lost${reachable.value ? ', trying again' : ''}` : holds ? 'paused' : status.value === 'connecting' ? 'connecting …' : 'following';
  return (
    <>
      {tailProblem.value && !isAway && <ErrorNote error={tailProblem.value} text={query.value} />}
      <section class="panel lines live" aria-label="New lines">
        <header>
          <span class={`live-mark${!holds && status.value === 'following' ? ' on' : ''}`} aria-hidden="true" />
          <span role="status">{state}</span>
          {dropped.value > 0 && <span class="problem num" title="More came than could be shown">{plural(dropped.value, 'line')} dropped</span>}
          <span class="spacer" />
          <span class="muted num">{plural(shown.value.length, 'line')}</span>
          <button type="button" class="button quiet small" onClick={clear}>Clear</button>
          <button type="button" class="button small" onClick={() => (paused.value = !holds)}>
            <Icon name={holds ? 'play' : 'pause'} /> {holds ? 'Follow' : 'Pause'}
          </button>
        </header>
        <Lines items={shown.value} followEnd={!holds} onFollow={(follows) => (paused.value = !follows)} />
        {holds && waiting.value > 0 && (
          <button type="button" class="button primary new-lines" onClick={() => (paused.value = false)}><Icon name="down" /> {whole(waiting.value)} new</button>
        )}
        {!shown.value.length && !tailProblem.value && <p class="empty roomy">Lines appear here as they are stored.</p>}
      </section>
    </>
  );
}
