/** An error in the API's words; one that points into a text shows the text with a caret under the place. */

import type { ApiError } from '../api';
import { Icon } from '../icons';

/** Most characters that are shown left of the caret. */
const BEFORE_MAX = 60;
const AFTER_MAX = 40;

export function ErrorNote({ error, text }: { error: ApiError; text?: string }) {
  const line = text !== undefined && error.place ? text.split('\n')[error.place.line - 1] : undefined;
  return (
    <div class="error-note" role="alert">
      <p><Icon name="alert" /><span><b>{marked(error.message)}</b>{error.place && <span class="muted"> · line {error.place.line}, column {error.place.column}</span>}</span></p>
      {line !== undefined && <Pointed line={line} column={error.place!.column} />}
      {error.hint && <p class="hint"><span>{marked(error.hint)}</span></p>}
    </div>
  );
}

/** What stands between backticks is a piece of the language. */
function marked(message: string) {
  return message.split('`').map((part, at) => (at % 2 ? <code key={at}>{part}</code> : part));
}

function Pointed({ line, column }: { line: string; column: number }) {
  const characters = Array.from(line);
  const at = Math.min(column - 1, characters.length);
  const from = Math.max(0, at - BEFORE_MAX);
  const shown = characters.slice(from, at + AFTER_MAX).join('').replaceAll('\t', ' ');
  const before = (from > 0 ? 1 : 0) + (at - from);
  return <pre class="pointed" aria-hidden="true">{from > 0 ? '…' : ''}{shown}{'\n'}{' '.repeat(before)}<b>^</b></pre>;
}
