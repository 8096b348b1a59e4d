/** The list of keys. */

import { signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { shortcuts } from '../keys';
import { Icon } from '../icons';

export const helpIsOpen = signal(false);

export function HelpDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpIsOpen.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [helpIsOpen.value]);
  const close = () => (helpIsOpen.value = false);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="help-title" onClose={close}
      onClick={(event) => event.target === dialog.current && close()}>
      <header>
        <h2 id="help-title">Keys</h2>
        <button type="button" class="button quiet" aria-label="Close" onClick={close}><Icon name="close" /></button>
      </header>
      {helpIsOpen.value && (
        <dl class="keys">
          {shortcuts().map((one) => (
            <div key={one.keys}>
              <dt>{one.keys.split(' ').map((key) => <kbd key={key}>{key}</kbd>)}</dt>
              <dd>{one.does}</dd>
            </div>
          ))}
        </dl>
      )}
      <p class="muted">Keys are off while you write. <kbd>Esc</kbd> leaves a field. This page is made with <a href="/assets/notices.txt" target="_blank">the work of others</a>.</p>
    </dialog>
  );
}
