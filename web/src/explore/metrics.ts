/** The metrics that there are, fetched when somebody first needs them and again when time moves on. */

import { signal } from '@preact/signals';
import { get, type MetricInfo } from '../api';

/** How long a list counts as fresh. */
const FRESH_MS = 30_000;

export const metrics = signal<MetricInfo[]>([]);
let loadedAt = -Infinity;
let running: Promise<MetricInfo[]> | undefined;

export function loadMetrics(): Promise<MetricInfo[]> {
  if (performance.now() - loadedAt < FRESH_MS) return Promise.resolve(metrics.peek());
  running ??= get<MetricInfo[]>('/api/metrics').then((list) => {
    metrics.value = list;
    loadedAt = performance.now();
    return list;
  }).finally(() => (running = undefined));
  return running;
}

/** A first question to a metric, by its kind. */
export function firstQuery(metric: MetricInfo): string {
  const by = metric.labels.find((label) => !['instance', 'job', 'le'].includes(label));
  const split = by ? ` by ${by}` : '';
  if (metric.type === 'distribution') return `p95 ${metric.name}${split} over 5m`;
  if (metric.type === 'counter') return `rate ${metric.name}${split} over 5m`;
  return metric.series > 20 && by ? `avg ${metric.name}${split}` : metric.name;
}
