import type { Alert } from '../api';

/** What an alert is called. */
export function nameOf(alert: Alert): string {
  return alert.labels.alertname ?? alert.rule.name;
}
