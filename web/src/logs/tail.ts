/** The live tail: a ring of the newest records that holds still while somebody reads. */

import { signal } from '@preact/signals';
import { type ApiError, get, type LogRecord, openSocket, queryText, type SearchAnswer } from '../api';
import { parseJson } from '../json';
import { asApiError } from '../load';
import { filterParams } from './filters';

/** Most records that are shown, and most that wait while paused. */
export const RING = 5000;
/** Records that are there already when the tail begins, or begins again after the connection was lost. */
const BEGIN_WITH = 200;
const RETRY_FIRST_MS = 1000;
const RETRY_MAX_MS = 15_000;

export type TailStatus = 'connecting' | 'following' | 'lost';

export const shown = signal<LogRecord[]>([]);
export const status = signal<TailStatus>('connecting');
export const paused = signal(false);
/** Records that came while paused. */
export const waiting = signal(0);
/** Records that the server or we had to leave out. */
export const dropped = signal(0);
export const tailProblem = signal<ApiError | undefined>(undefined);

interface Message {
  dropped?: number;
  payload?: LogRecord;
}

/** Begins to follow the filters at hand; answers how to stop. */
export function follow(): () => void {
  let socket: WebSocket | undefined;
  let retry = RETRY_FIRST_MS;
  let timer: number | undefined;
  let frame = 0;
  let stopped = false;
  let arrived: LogRecord[] = [];
  let seen = new Set<string>();
  shown.value = [];
  paused.value = false;
  waiting.value = 0;
  dropped.value = 0;
  tailProblem.value = undefined;
  const filters = filterParams();

  const take = (record: LogRecord) => {
    // A record comes again when an insight about it arrives; the line stays where it is.
    if (seen.has(record.id)) return;
    seen.add(record.id);
    if (seen.size > 4 * RING) seen = new Set(Array.from(seen).slice(-2 * RING));
    arrived.push(record);
    if (arrived.length > RING) {
      dropped.value += arrived.length - RING;
      arrived = arrived.slice(-RING);
    }
    // Frames stand still in a hidden tab; the ring above is the bound then.
    frame ||= requestAnimationFrame(flush);
  };
  const flush = () => {
    frame = 0;
    if (paused.peek()) {
      waiting.value = arrived.length;
      return;
    }
    shown.value = [...shown.peek(), ...arrived].slice(-RING);
    arrived = [];
    waiting.value = 0;
  };
  const unpause = paused.subscribe((isPaused) => {
    if (!isPaused && arrived.length) flush();
  });

  /** What is there already; tells also what a socket cannot: which mistake the search has, or that a key is missing. */
  const begin = async () => {
    try {
      const answer = await get<SearchAnswer>('/api/v1/logs/search', { ...filters, start: 'now-15m', limit: BEGIN_WITH, buckets: 0 });
      for (const record of answer.logs.reverse()) take(record);
      tailProblem.value = undefined;
      return true;
    } catch (error) {
      tailProblem.value = asApiError(error);
      return tailProblem.peek()!.status === 0;
    }
  };

  const connect = async () => {
    status.value = 'connecting';
    if (!(await begin()) || stopped) return;
    socket = openSocket(`/ws${queryText(filters)}`);
    socket.onopen = () => {
      retry = RETRY_FIRST_MS;
      status.value = 'following';
    };
    socket.onmessage = (event) => {
      const message = parseJson(event.data as string) as Message;
      if (message.dropped) dropped.value += message.dropped;
      if (message.payload) take(message.payload);
    };
    socket.onclose = () => {
      if (stopped) return;
      status.value = 'lost';
      timer = window.setTimeout(() => void connect(), retry);
      retry = Math.min(RETRY_MAX_MS, retry * 2);
    };
  };
  void connect();
  return () => {
    stopped = true;
    window.clearTimeout(timer);
    cancelAnimationFrame(frame);
    unpause();
    socket?.close();
  };
}

export function clear(): void {
  shown.value = [];
  dropped.value = 0;
}
