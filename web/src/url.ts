/** Where we are: path and parameters. All state that a link should carry lives here and nowhere else. */

import { batch, computed, signal } from '@preact/signals';
import { parseDuration, parseTime } from './time';

/** The range of pages whose URL names none. */
export const DEFAULT_FROM = 'now-1h';
/** What goes along from page to page. */
const SHARED = ['from', 'to', 'refresh'];

export const path = signal(window.location.pathname);
export const params = signal(new URLSearchParams(window.location.search));

/** The moment that `now` in the range means; moves with each refresh. */
export const now = signal(Date.now());

window.addEventListener('popstate', () => read(true));

function read(movesTime: boolean): void {
  batch(() => {
    path.value = window.location.pathname;
    params.value = new URLSearchParams(window.location.search);
    if (movesTime) now.value = Date.now();
  });
}

/** A parameter's value; empty if it is absent. */
export function param(name: string): string {
  return params.value.get(name) ?? '';
}

/** A parameter that holds a list. */
export function list(name: string): string[] {
  return param(name).split(',').filter(Boolean);
}

export type Changes = Record<string, string | string[] | null>;

function changed(from: URLSearchParams, changes: Changes): string {
  const next = new URLSearchParams(from);
  for (const [name, value] of Object.entries(changes)) {
    const text = Array.isArray(value) ? value.join(',') : value;
    if (text) next.set(name, text);
    else next.delete(name);
  }
  const text = next.toString();
  return text && `?${text}`;
}

/** A link to another page; the time range goes along. */
export function href(to: string, changes: Changes = {}): string {
  const shared = new URLSearchParams();
  for (const name of SHARED) {
    const value = param(name);
    if (value) shared.set(name, value);
  }
  return to + changed(shared, changes);
}

/** A link to this page with other parameters. */
export function here(changes: Changes): string {
  return path.value + changed(params.value, changes);
}

/**
 * Goes to a link of ours. A step moves time on to now; a replacement (a row that opens, say) does not, so that what
 * is on the page stays.
 */
export function go(link: string, replace = false): void {
  window.history[replace ? 'replaceState' : 'pushState'](null, '', link);
  read(!replace);
}

/** Changes parameters of this page: a step that "back" undoes, unless `replace`. */
export function set(changes: Changes, replace = false): void {
  go(here(changes), replace);
}

/** Follows links of ours without loading the page again. */
export function follow(event: MouseEvent): void {
  const link = (event.target as Element | null)?.closest?.('a');
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hash || link.hasAttribute('download')) return;
  if (link.origin !== window.location.origin || !isPage(link.pathname)) return;
  event.preventDefault();
  go(link.pathname + link.search);
  window.scrollTo(0, 0);
}

function isPage(to: string): boolean {
  return !to.startsWith('/api/') && !to.startsWith('/assets/') && to !== '/metrics' && !to.startsWith('/-/');
}

export const from = computed(() => param('from') || DEFAULT_FROM);
export const to = computed(() => param('to') || 'now');

const DEFAULT_LENGTH_MS = 3_600_000;

/** Both ends in milliseconds, as far as they can be read. Who says no begin means some time before the end. */
const ends = computed(() => {
  const end = parseTime(to.value, now.value);
  const start = param('from') ? parseTime(from.value, now.value) : (end ?? now.value) - DEFAULT_LENGTH_MS;
  return { start, end };
});

/** Why nothing can be shown of the range in the URL; empty if something can. */
export const rangeProblem = computed(() => {
  const { start, end } = ends.value;
  if (start === null) return `\`${from.value}\` is no time`;
  if (end === null) return `\`${to.value}\` is no time`;
  return start < end ? '' : start > end ? 'the range ends before it begins' : 'the range is empty: it ends when it begins';
});

/** The range in milliseconds. Nothing is asked for by it while {@link rangeProblem} says that it cannot be read. */
export const range = computed(() => {
  const { start, end } = ends.value;
  return rangeProblem.value || start === null || end === null ? { start: now.value - DEFAULT_LENGTH_MS, end: now.value } : { start, end };
});

/** Whether the range ends now, or so long ago, so that refreshing shows something new. */
export const isMoving = computed(() => /^now/.test(to.value) || parseDuration(to.value) !== null);

/** Takes a range from a drag over a chart. */
export function zoom(start: number, end: number): void {
  set({ from: String(Math.floor(start)), to: String(Math.ceil(end)) });
}
