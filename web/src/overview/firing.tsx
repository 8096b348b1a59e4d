/** What fires now, in short. */

import { toNumber } from '../api';
import { alerts, alertsError } from '../firing';
import { short } from '../format';
import { roughDuration } from '../time';
import { State } from '../ui/state';
import { ErrorNote } from '../ui/error-note';
import { href, now } from '../url';

const SHOWN_MAX = 5;

export function Firing() {
  const list = alerts.value;
  const active = (list ?? []).filter((alert) => alert.status !== 'resolved')
    .sort((a, b) => a.status.localeCompare(b.status) || b.starts_at.localeCompare(a.starts_at));
  return (
    <section class="panel firing">
      <header>
        <h2><a href={href('/alerts')}>Alerts</a></h2>
        <span class="muted">{list && (active.length ? `${active.length} active` : 'all quiet')}</span>
      </header>
      {alertsError.value && <ErrorNote error={alertsError.value} />}
      {list && !active.length && <p class="empty">Nothing fires. <a href={href('/alerts', { tab: 'rules' })}>See the rules</a></p>}
      <ul>
        {active.slice(0, SHOWN_MAX).map((alert) => (
          <li key={alert.fingerprint}>
            <a href={href('/alerts', { open: alert.fingerprint })}>
              <State state={alert.status} />
              <b>{alert.labels.alertname ?? alert.rule.name}</b>
              <span class="num">{short(toNumber(alert.value))}</span>
              <span class="muted labels">{labelText(alert.labels)}</span>
              <span class="muted num">{roughDuration(now.value - Date.parse(alert.starts_at))}</span>
            </a>
          </li>
        ))}
      </ul>
      {active.length > SHOWN_MAX && <p class="empty"><a href={href('/alerts')}>and {active.length - SHOWN_MAX} more</a></p>}
    </section>
  );
}

function labelText(labels: Record<string, string>): string {
  return Object.entries(labels).filter(([name]) => name !== 'alertname').map(([name, value]) => `${name}=${value}`).join(' ');
}
