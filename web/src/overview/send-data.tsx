/** Lines to copy that send something to this very server; shown while there is only its own. */

import { session } from '../api';
import { Icon } from '../icons';
import { copy } from '../ui/toast';

export function SendData() {
  const key = session.value?.required ? ` -H 'X-API-Key: KEY'` : '';
  const { origin, hostname } = window.location;
  const examples = [
    {
      does: 'a log line, with a duration',
      text: `curl${key} ${origin}/ingest -H 'Content-Type: application/json' -d '{"level":"error","service":"api","message":"connection refused","duration_ms":412}'`,
    },
    { does: 'a file of any of the known formats', text: `curl${key} '${origin}/ingest/raw?service=web' --data-binary @/var/log/nginx/access.log` },
    {
      does: 'a metric',
      text: `curl${key} ${origin}/api/v1/metrics -H 'Content-Type: application/json' -d '{"name":"orders_open","value":7,"type":"gauge","labels":{"shop":"north"}}'`,
    },
  ];
  return (
    <section class="panel send">
      <header><h2>Only {hostname} itself speaks so far. Send it something:</h2></header>
      <ul>
        {examples.map(({ does, text }) => (
          <li key={does}>
            <span class="muted">{does}</span>
            <code>{text}</code>
            <button type="button" class="button small" aria-label={`Copy: ${does}`} onClick={() => void copy(text, 'Command')}><Icon name="copy" /> Copy</button>
          </li>
        ))}
      </ul>
    </section>
  );
}
