/** Alerts, as all pages need them: the count in the bar, in the title and in the icon of the tab. */

import { effect, signal } from '@preact/signals';
import { type Alert, ApiError, get, needsLogin } from './api';

const POLL_MS = 10_000;

export const alerts = signal<Alert[] | undefined>(undefined);
export const alertsError = signal<ApiError | undefined>(undefined);

/** How many alerts fire now. */
export function firingCount(): number {
  return (alerts.value ?? []).filter((alert) => alert.status === 'firing').length;
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
