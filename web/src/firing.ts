/** Alerts, as all pages need them: the count in the bar, in the title and in the icon of the tab. */

import { effect, signal } from '@preact/signals';
import { nameOf } from './alerts/name';
import { type Alert, type ApiError, get, isLocked, type Labels, type RangeAnswer } from './api';
import { asApiError, useLoad } from './load';
import { now, range } from './url';

const POLL_MS = 10_000;

export const alerts = signal<Alert[] | undefined>(undefined);
export const alertsError = signal<ApiError | undefined>(undefined);

/** How many alerts fire now. */
export function firingCount(): number {
  return (alerts.value ?? []).filter((alert) => alert.status === 'firing').length;
}

/** A time in which an alert fired, in milliseconds. */
export interface Band {
  start: number;
  end: number;
  name: string;
}

/** When alerts fired the last time, as their list has it to the millisecond. */
function lastFirings(list: Alert[]): Band[] {
  return list.filter((alert) => alert.status !== 'pending').map((alert) => ({
    start: Date.parse(alert.starts_at),
    end: alert.status === 'resolved' && alert.ends_at ? Date.parse(alert.ends_at) : now.value,
    name: nameOf(alert),
  }));
}

/** Points of the query for firings: about as many as a chart has pixels to tell apart. */
const POINTS = 600;

/**
 * When alerts fired within the range of the page, by their beginnings: all times that the server keeps of those that
 * have these labels, also of before its last start.
 */
export function useFirings(list: Alert[], labels: Labels = {}): Band[] {
  const { start, end } = range.value;
  const stepS = Math.max(1, Math.ceil((end - start) / 1000 / POINTS));
  const matchers = Object.entries(labels).map(([name, value]) => `,${JSON.stringify(name)}=${JSON.stringify(value)}`);
  const firing = `ALERTS{alertstate="firing"${matchers.join('')}}`;
  // A firing between two points would be passed over.
  const query = `${firing} or last_over_time(${firing}[${stepS}s])`;
  const loaded = useLoad(`${query} ${start} ${end}`, (abort) => get<RangeAnswer>('/api/v1/metrics/range', { query, start, end, step: stepS }, abort));
  const kept = loaded.data ? firings(loaded.data) : [];
  return joined([...kept, ...lastFirings(list)], stepS * 1000).filter((band) => band.start < end && band.end > start);
}

/** A band for each point of the answer. */
function firings(answer: RangeAnswer): Band[] {
  return answer.result.flatMap(({ labels, values }) => values.map(([at]) => ({ start: at, end: at, name: labels.alertname ?? '' })));
}

/** Bands by their beginnings, those of one name that are no more than `apart` from each other as one. */
function joined(bands: Band[], apart: number): Band[] {
  const newest = new Map<string, Band>();
  const made: Band[] = [];
  for (const band of bands.sort((a, b) => a.start - b.start)) {
    const before = newest.get(band.name);
    if (before && band.start <= before.end + apart) {
      before.end = Math.max(before.end, band.end);
    } else {
      const next = { ...band };
      newest.set(band.name, next);
      made.push(next);
    }
  }
  return made;
}

export async function loadAlerts(): Promise<void> {
  if (isLocked.peek()) return;
  try {
    alerts.value = (await get<{ alerts: Alert[] }>('/api/v1/alerting/alerts')).alerts;
    alertsError.value = undefined;
  } catch (error) {
    alertsError.value = asApiError(error);
  }
}

export function watchAlerts(): void {
  // A tab in the background goes on: its title is what it is watched by.
  window.setInterval(() => void loadAlerts(), POLL_MS);
  effect(() => {
    if (!isLocked.value) void loadAlerts();
  });
  effect(() => drawIcon(firingCount()));
}

function drawIcon(count: number): void {
  const mark = count
    ? `<circle cx="11" cy="11" r="5" fill="#c42b2b"/><text x="11" y="13.7" font-family="sans-serif" font-size="7.5" font-weight="700" text-anchor="middle" fill="#fff">${count > 9 ? '9+' : count}</text>`
    : '';
  const flame = 'M8.3 1c.5 2.3 3.9 3.5 3.9 7a4.2 4.2 0 0 1-8.4 0c0-1.7.9-2.7 1.5-3.8.3 1 .8 1.5 1.4 1.7C6.4 4.3 6.9 2.3 8.3 1z';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#e0631b" d="${flame}"/>${mark}</svg>`;
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (link) link.href = `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
