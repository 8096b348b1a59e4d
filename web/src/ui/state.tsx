/** The state of an alert or a rule: a shape, a word and a colour, so that none of them has to be told apart alone. */

const MARKS: Record<string, string> = { firing: '▲', pending: '◐', resolved: '✓', inactive: '○', ok: '✓', err: '✕', recording: '●', unknown: '?' };

export function State({ state }: { state: string }) {
  return <span class={`state state-${state}`}><span aria-hidden="true">{MARKS[state] ?? '?'}</span> {state === 'err' ? 'error' : state}</span>;
}
