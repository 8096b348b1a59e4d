/** Alerts, as all pages need them: the count in the bar, in the title and in the icon of the tab. */

import { computed, effect, signal } from '@preact/signals';
import { nameOf } from './alerts/name';
import { type Alert, ApiError, get, needsLogin } from './api';
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

/** When an alert fired; null if it has not yet. */
function bandOf(alert: Alert): Band | null {
  if (alert.status === 'pending') return null;
  const end = alert.status === 'resolved' && alert.ends_at ? Date.parse(alert.ends_at) : now.value;
  return { start: Date.parse(alert.starts_at), end, name: nameOf(alert) };
}

/** When alerts fired within the range of the page, by their beginnings. */
export const firingBands = computed(() => {
  const { start, end } = range.value;
  return bandsOf(alerts.value ?? []).filter((band) => band.start < end && band.end > start);
});

export function bandsOf(list: Alert[]): Band[] {
  return list.map(bandOf).filter((band) => band !== null).sort((a, b) => a.start - b.start);
}

export async function loadAlerts(): Promise<void> {
  if (needsLogin.peek()) return;
  try {
    alerts.value = (await get<{ alerts: Alert[] }>('/api/v1/alerting/alerts')).alerts;
    alertsError.value = undefined;
  } catch (error) {
    alertsError.value = error instanceof ApiError ? error : new ApiError(0, 'page', String(error));
  }
}

export function watchAlerts(): void {
  void loadAlerts();
  // A tab in the background goes on: its title is what it is watched by.
  window.setInterval(() => void loadAlerts(), POLL_MS);
  effect(() => {
    if (!needsLogin.value) void loadAlerts();
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
