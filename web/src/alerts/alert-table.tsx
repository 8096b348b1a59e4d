/** Alerts as a flat table: what can be told at a glance needs no click. */

import { type Alert, type Labels, toNumber } from '../api';
import { alerts, alertsError } from '../firing';
import { short } from '../format';
import { localDateTime, roughDuration, utc } from '../time';
import { ErrorNote } from '../ui/error-note';
import { State } from '../ui/state';
import { here, href, now, param, set } from '../url';
import { matchesFilter } from './filter';
import { nameOf } from './name';
import { RuleChart } from './rule-chart';

const ORDER = ['firing', 'pending', 'resolved'];

type Sort = (a: Alert, b: Alert) => number;
const SORTS: Record<string, Sort> = {
  state: (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || b.starts_at.localeCompare(a.starts_at),
  name: (a, b) => nameOf(a).localeCompare(nameOf(b)),
  value: (a, b) => toNumber(b.value) - toNumber(a.value),
  since: (a, b) => b.starts_at.localeCompare(a.starts_at),
};

export function AlertTable({ filter, state }: { filter: string; state: string }) {
  const sort = param('sort') || 'state';
  const list = (alerts.value ?? []).filter((alert) => (!state || alert.status === state) && matchesFilter(filter, nameOf(alert), alert.labels))
    .sort(SORTS[sort] ?? SORTS.state);
  if (alertsError.value) return <ErrorNote error={alertsError.value} />;
  if (!alerts.value) return null;
  if (!list.length) {
    return (
      <p class="panel empty roomy">
        {alerts.value.length ? 'No alert meets the filter.' : <>All quiet: no alert is pending or firing. <a href={here({ tab: 'rules' })}>See the rules</a></>}
      </p>
    );
  }
  const head = (name: string, text: string, kind = '') => (
    <th class={kind} aria-sort={sort === name ? 'descending' : undefined}>
      <button type="button" class="sort" onClick={() => set({ sort: name === 'state' ? null : name })}>{text}{sort === name && ' ↓'}</button>
    </th>
  );
  return (
    <div class="panel table-panel">
      <table class="cards alerts">
        <thead><tr>{head('state', 'State')}{head('name', 'Alert')}<th>Labels</th>{head('value', 'Value', 'num')}{head('since', 'Since', 'num')}</tr></thead>
        <tbody>{list.map((alert) => <AlertRow key={alert.fingerprint} alert={alert} />)}</tbody>
      </table>
    </div>
  );
}

function AlertRow({ alert }: { alert: Alert }) {
  const open = param('open') === alert.fingerprint;
  const since = Date.parse(alert.status === 'resolved' ? alert.ends_at ?? alert.timestamp : alert.starts_at);
  const { summary, description } = alert.annotations;
  return (
    <>
      <tr class={open ? 'open' : undefined}>
        <td><State state={alert.status} /></td>
        <td class="main-cell">
          <button type="button" class="row-name" data-row aria-expanded={open} onClick={() => set({ open: open ? null : alert.fingerprint }, true)}>{nameOf(alert)}</button>
          <span class="muted"><bdi>{summary ?? description ?? ''}</bdi></span>
        </td>
        <td><LabelChips labels={alert.labels} /></td>
        <td class="num"><b>{short(toNumber(alert.value))}</b> <span class="muted">{alert.rule.operator} {short(toNumber(alert.rule.threshold))}</span></td>
        <td class="num" title={`${localDateTime(since)}\n${utc(since)}`}>{roughDuration(now.value - since)}</td>
      </tr>
      {open && (
        <tr class="detail">
          <td colSpan={5}>
            <dl class="facts">
              <dt>Query</dt><dd><code>{alert.rule.query}</code></dd>
              <dt>Condition</dt><dd>{alert.rule.operator} {alert.rule.threshold} for {alert.rule.duration}</dd>
              <dt>{alert.status === 'pending' ? 'Pending' : 'Firing'} since</dt><dd>{localDateTime(Date.parse(alert.starts_at))}</dd>
              {alert.ends_at && <><dt>Resolved</dt><dd>{localDateTime(Date.parse(alert.ends_at))}</dd></>}
              {Object.entries(alert.annotations).map(([name, text]) => <><dt>{name}</dt><dd><bdi>{text}</bdi></dd></>)}
            </dl>
            <RuleChart name={nameOf(alert)} query={alert.rule.query} threshold={toNumber(alert.rule.threshold)} alert={alert} />
            <p class="row">
              <a class="button small" href={href('/explore', { q: alert.rule.query })}>Explore the query</a>
              {hasLogs(alert.labels) && <a class="button small" href={logsOf(alert.labels)}>Logs of these labels</a>}
            </p>
          </td>
        </tr>
      )}
    </>
  );
}

/** Whether labels say anything that records have too. */
function hasLogs({ service, source, host, level }: Labels): boolean {
  return !!(service || source || host || level);
}

/** Logs that share what labels and records both have. */
function logsOf(labels: Labels): string {
  const { service = '', source = '', host = '', level = '' } = labels;
  return href('/logs', { service, source, host, level });
}

export function LabelChips({ labels }: { labels: Labels }) {
  return (
    <ul class="chips">
      {Object.entries(labels).filter(([name]) => name !== 'alertname').map(([name, value]) => (
        <li key={name}>
          <button type="button" class={`chip${name === 'severity' ? ` severity-${value}` : ''}`} title="Filter by this label"
            onClick={() => set({ filter: `${name}=${value}` })}>
            <span class="muted">{name}</span> <bdi>{value}</bdi>
          </button>
        </li>
      ))}
    </ul>
  );
}
