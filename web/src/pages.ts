/** The pages. A new one is a line here, a folder, and its path in `dashboard-api/src/page.rs`. */

import type { ComponentType } from 'preact';
import type { IconName } from './icons';
import { Overview } from './overview/overview';

export interface Page {
  path: string;
  title: string;
  icon: IconName;
  /** Second key after `g`. */
  key: string;
  /** Refresh of URLs that do not say. */
  refresh: string;
  load: () => Promise<ComponentType> | ComponentType;
}

export const PAGES: Page[] = [
  { path: '/', title: 'Overview', icon: 'overview', key: 'o', refresh: '10s', load: () => Overview },
  { path: '/logs', title: 'Logs', icon: 'logs', key: 'l', refresh: 'off', load: async () => (await import('./logs/logs')).Logs },
  {
    path: '/explore', title: 'Explore', icon: 'explore', key: 'e', refresh: 'off',
    load: async () => (await import('./explore/explore')).Explore,
  },
  { path: '/alerts', title: 'Alerts', icon: 'alert', key: 'a', refresh: '10s', load: async () => (await import('./alerts/alerts')).Alerts },
];
