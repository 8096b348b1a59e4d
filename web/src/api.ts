/** Calls of the server, the key they carry, and the shapes of its answers (those parts that pages read). */

import { computed, signal } from '@preact/signals';
import { parseJson } from './json';

export interface Place {
  line: number;
  column: number;
  offset: number;
}

/** An answer that is no success, in the one shape of the API. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly place?: Place,
    readonly hint?: string,
  ) {
    super(message);
  }

  /** Whether the server does not have the call. */
  get isMissing(): boolean {
    return this.status === 404;
  }
}

/** Whether the server asked who we are and we cannot say. */
export const needsLogin = signal(false);
/** Whether the server told who we are to it, or cannot be asked. */
const isAsked = signal(false);
/** Nothing is asked for while this is true: it would only be refused. */
export const isLocked = computed(() => !isAsked.value || needsLogin.value);
/** What was wrong with what was tried. */
export const loginProblem = signal('');
/** False while the server cannot be reached. */
export const reachable = signal(true);

export interface Session {
  /** Whether one has to say who one is at all. */
  required: boolean;
  authenticated: boolean;
  /** By what: `key`, `password`. */
  methods: string[];
  name?: string;
}

/** Who we are to the server; the cookie itself is out of a script's reach. */
export const session = signal<Session | undefined>(undefined);

const SESSION = '/api/v1/session';

/** Asks who we are; a form appears if nobody. */
export async function loadSession(): Promise<void> {
  try {
    session.value = await get<Session>(SESSION);
    needsLogin.value = session.value.required && !session.value.authenticated;
  } catch {
    // The calls of the page itself will say what is wrong.
  }
  isAsked.value = true;
}

/** Exchanges a key, or a name and password, for a session. */
export async function login(proof: { key: string } | { username: string; password: string }): Promise<void> {
  loginProblem.value = '';
  try {
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(proof) };
    session.value = (await send<Session>(SESSION, init)).body;
    needsLogin.value = false;
  } catch (error) {
    loginProblem.value = error instanceof Error ? error.message : String(error);
  }
}

export async function logout(): Promise<void> {
  await fetch(SESSION, { method: 'DELETE' }).catch(() => undefined);
  session.value = undefined;
  needsLogin.value = true;
  await loadSession();
}

type Query = Record<string, string | number | undefined>;

export function queryText(query: Query): string {
  const text = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') text.set(name, String(value));
  }
  const joined = text.toString();
  return joined && `?${joined}`;
}

/** Answer and cost of a call. */
export interface Answer<T> {
  body: T;
  ms: number;
  bytes: number;
}

/** Queries longer than this go in a body: heads of requests are bounded. */
const URL_LENGTH_MAX = 6000;

export async function call<T>(url: string, query: Query = {}, abort?: AbortSignal): Promise<Answer<T>> {
  const text = queryText(query);
  const long = text.length > URL_LENGTH_MAX;
  return send<T>(long ? url : url + text, long ? { method: 'POST', body: new URLSearchParams(text), signal: abort } : { signal: abort });
}

async function send<T>(url: string, init: RequestInit): Promise<Answer<T>> {
  const begun = performance.now();
  let response: Response;
  let body: string;
  try {
    response = await fetch(url, { ...init, headers: { Accept: 'application/json', ...init.headers }, credentials: 'same-origin' });
    body = await response.text();
    reachable.value = true;
  } catch (error) {
    if (init.signal?.aborted) throw error;
    reachable.value = false;
    throw new ApiError(0, 'unreachable', 'the server does not answer', undefined, 'it is asked again by itself');
  }
  if (!response.ok) throw refusal(response, body);
  return { body: (body ? parseJson(body) : undefined) as T, ms: performance.now() - begun, bytes: body.length };
}

export async function get<T>(url: string, query: Query = {}, abort?: AbortSignal): Promise<T> {
  return (await call<T>(url, query, abort)).body;
}

/** Puts an object where it belongs. */
export async function put(url: string, body: unknown): Promise<void> {
  await send(url, { method: 'PUT', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

export async function remove(url: string): Promise<void> {
  await send(url, { method: 'DELETE' });
}

function refusal(response: Response, text: string): ApiError {
  let body: { error?: string; message?: string; where?: Place; hint?: string } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // A proxy may answer in its own words.
  }
  const message = body.message ?? `the server answered ${response.status} ${response.statusText}`;
  const error = new ApiError(response.status, body.error ?? 'http', message, body.where, body.hint);
  if (error.status === 401 && !needsLogin.peek()) {
    needsLogin.value = true;
    void loadSession();
  }
  return error;
}

/** A WebSocket of ours; it carries the session as every call does. */
export function openSocket(pathAndQuery: string): WebSocket {
  return new WebSocket(`${window.location.protocol === 'https:' ? 'wss' : 'ws'}://${window.location.host}${pathAndQuery}`);
}

export type Labels = Record<string, string>;
/** A number, or what JSON cannot hold as text. */
export type Num = number | string;

export function toNumber(value: Num): number {
  if (typeof value === 'number') return value;
  return value === '+Inf' ? Infinity : value === '-Inf' ? -Infinity : Number(value);
}

export interface InstantAnswer {
  query: string;
  promql: string | null;
  time: number;
  value?: Num;
  result: { labels: Labels; value: Num }[];
}

export interface RangeAnswer {
  query: string;
  promql: string | null;
  start: number;
  end: number;
  step: number;
  result: { labels: Labels; values: [number, Num][] }[];
}

export interface MetricInfo {
  name: string;
  type: string;
  help: string;
  series: number;
  labels: string[];
}

export interface LogRecord {
  id: string;
  timestamp: string;
  level: string;
  message: string;
  service?: string;
  source?: string;
  host?: string;
  tags?: Record<string, unknown>;
  fields?: Record<string, unknown>;
  [other: string]: unknown;
}

export interface Histogram {
  start: number;
  step: number;
  buckets: { time: number; total: number; levels: Record<string, number> }[];
}

export interface SearchAnswer {
  total: number;
  total_exact: boolean;
  took_ms: number;
  logs: LogRecord[];
  next_cursor: string | null;
  histogram?: Histogram;
  levels: Record<string, number>;
  damaged_blocks?: number;
}

export interface Alert {
  rule: { name: string; query: string; threshold: Num; operator: string; duration: string };
  value: Num;
  timestamp: string;
  status: 'pending' | 'firing' | 'resolved';
  labels: Labels;
  annotations: Labels;
  active_at: string;
  starts_at: string;
  ends_at: string | null;
  fingerprint: string;
}

export interface RuleGroup {
  name: string;
  file: string;
  interval: number;
  evaluationTime: number;
  lastEvaluation: string;
  rules: Rule[];
}

export interface Rule {
  type: string;
  name: string;
  query: string;
  duration?: number;
  labels?: Labels;
  annotations?: Labels;
  state?: string;
  health: string;
  lastError?: string;
  evaluationTime: number;
  lastEvaluation: string;
  /** Of the newest evaluation: furthest beyond the limit, or nearest to it. */
  newestValue?: string;
  alerts?: { labels: Labels; state: string; activeAt: string; value: string }[];
}

export interface Health {
  status: string;
  version: string;
  uptime_s: number;
  components: Record<string, { status: string; problem?: string; [figure: string]: unknown }>;
}
