/** A search, page by page: the first with total and histogram, further ones by cursor as somebody reads on. */

import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { type Answer, type ApiError, call, isLocked, type LogRecord, type SearchAnswer } from '../api';
import { asApiError } from '../load';
import { filterParams, oldestFirst, rangeParams } from './filters';

/** Records of the first page: some more than are in sight. */
const FIRST_PAGE = 60;
/** Most records of further pages; fewer where records are large. */
const PAGE = 200;
/** Bytes that a page should have at most. */
const PAGE_BYTES = 4 << 20;
/** Most records that are kept; who wants more narrows the search. */
export const KEPT_MAX = 20_000;
const BUCKETS = 90;

/** The newest answer's head, and all records loaded so far. */
export const found = signal<SearchAnswer | undefined>(undefined);
export const records = signal<LogRecord[]>([]);
export const problem = signal<ApiError | undefined>(undefined);
export const loading = signal(false);
const cursor = signal<string | null>(null);
let running: AbortController | undefined;
let pageSize = PAGE;

export function hasMore(): boolean {
  return cursor.value !== null && records.value.length < KEPT_MAX;
}

function searchParams() {
  return { ...filterParams(), ...rangeParams(), order: oldestFirst.value ? 'asc' : undefined };
}

async function ask(more: Record<string, string | number>, abort: AbortSignal): Promise<SearchAnswer> {
  const answer: Answer<SearchAnswer> = await call('/api/v1/logs/search', { ...searchParams(), ...more }, abort);
  const each = answer.bytes / Math.max(1, answer.body.logs.length);
  pageSize = Math.min(PAGE, Math.max(5, Math.floor(PAGE_BYTES / each)));
  return answer.body;
}

/** Searches anew; what was found before stays in sight until the answer is there. */
async function start(): Promise<void> {
  running?.abort();
  const abort = (running = new AbortController());
  loading.value = true;
  try {
    const answer = await ask({ limit: FIRST_PAGE, buckets: BUCKETS }, abort.signal);
    found.value = answer;
    records.value = answer.logs;
    cursor.value = answer.logs.length < answer.total ? answer.next_cursor : null;
    problem.value = undefined;
  } catch (error) {
    if (abort.signal.aborted) return;
    problem.value = asApiError(error);
  }
  loading.value = false;
}

/** Loads the next page, if there is one and none is under way. */
export async function more(): Promise<void> {
  if (loading.peek() || cursor.peek() === null || records.peek().length >= KEPT_MAX) return;
  const abort = running!;
  loading.value = true;
  try {
    const answer = await ask({ limit: pageSize, buckets: 0, cursor: cursor.peek()! }, abort.signal);
    records.value = [...records.peek(), ...answer.logs];
    cursor.value = answer.logs.length ? answer.next_cursor : null;
  } catch (error) {
    if (abort.signal.aborted) return;
    problem.value = asApiError(error);
  }
  loading.value = false;
}

/** Stops a search under way. */
export function cancel(): void {
  running?.abort();
  loading.value = false;
}

/** Searches whenever what the URL asks for changes. */
export function useSearch(): void {
  const wanted = JSON.stringify(searchParams());
  const locked = isLocked.value;
  useEffect(() => {
    if (!locked) void start();
    return () => running?.abort();
  }, [wanted, locked]);
}
