/** Views that somebody saved under a name: a search or a query, and the page that shows it. They lie on the server. */

import { signal } from '@preact/signals';
import { get, put, remove } from './api';
import { PAGES } from './pages';
import { params, path } from './url';

export interface SavedView {
  name: string;
  q?: string;
  query?: string;
  description?: string;
  /** Where it was saved from: path and parameters of a page. Others may have saved anything. */
  view?: unknown;
}

/** As many as the server lists; undefined before it was asked. */
export const saved = signal<SavedView[] | undefined>(undefined);

/** The names that the server takes. */
export const NAME_PATTERN = '[A-Za-z0-9 _.\\-]{1,100}';

const at = (name: string) => `/api/v1/saved/${encodeURIComponent(name)}`;

export async function loadSaved(): Promise<void> {
  saved.value = (await get<{ saved: SavedView[] }>('/api/v1/saved')).saved;
}

/** Saves the page as it is, with what makes up its question for who asks by script. */
export async function save(name: string, question: Record<string, string>): Promise<void> {
  const search = new URLSearchParams(params.peek());
  // What is open, and whether new lines are followed, is of the moment.
  for (const moment of ['open', 'live']) search.delete(moment);
  await put(at(name), { ...question, view: { path: path.peek(), search: search.toString() } });
  await loadSaved();
}

export async function forget(name: string): Promise<void> {
  await remove(at(name));
  await loadSaved();
}

/** The page of ours that shows it. */
export function linkOf(one: SavedView): string {
  const view = one.view as { path?: unknown; search?: unknown } | null | undefined;
  const page = PAGES.find(({ path: known }) => known === view?.path);
  if (page && typeof view?.search === 'string') return `${page.path}?${new URLSearchParams(view.search)}`;
  return one.query === undefined ? `/logs?${new URLSearchParams({ q: one.q ?? '' })}` : `/explore?${new URLSearchParams({ q: one.query })}`;
}
