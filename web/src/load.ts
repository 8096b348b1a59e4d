/** Answers of the server inside components: loaded when their key changes or time moves on, kept while reloading. */

import { effect, signal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, isLocked } from './api';
import { isMoving, now, param } from './url';

export interface Loaded<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
}

/** Loads anew whenever `key` changes; what was there stays visible meanwhile. Null loads nothing. */
export function useLoad<T>(key: string | null, load: (abort: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ data: undefined, error: undefined, loading: key !== null });
  const latest = useRef(load);
  latest.current = load;
  const locked = isLocked.value;
  useEffect(() => {
    if (key === null || locked) {
      setState((old) => (key === null ? { data: undefined, error: undefined, loading: false } : { ...old, loading: false }));
      return;
    }
    const abort = new AbortController();
    setState((old) => ({ ...old, loading: true }));
    latest.current(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, error: undefined, loading: false }),
      (error: unknown) => !abort.signal.aborted && setState((old) => ({ ...old, error: asApiError(error), loading: false })),
    );
    return () => abort.abort();
  }, [key, locked]);
  return state;
}

export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'page', error instanceof Error ? error.message : String(error));
}

/** What the page refreshes by if its URL does not say, milliseconds; 0 for not at all. */
export const defaultRefresh = signal('');

/** `10s`, `off`. */
export function refreshText(): string {
  return param('refresh') || defaultRefresh.value || 'off';
}

/** Moves time on as often as the page asks for, while somebody can see it. */
export function startRefreshing(): void {
  let timer: number | undefined;
  effect(() => {
    window.clearInterval(timer);
    const seconds = /^(\d+)s$/.exec(refreshText());
    if (!seconds || !isMoving.value) return;
    timer = window.setInterval(() => {
      if (!document.hidden && !isLocked.peek()) now.value = Date.now();
    }, Number(seconds[1]) * 1000);
  });
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && refreshText() !== 'off' && isMoving.value) now.value = Date.now();
  });
}
