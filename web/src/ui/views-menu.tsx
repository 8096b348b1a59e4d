/** The saved views of a page, and a field to save what is there now. */

import { useEffect, useState } from 'preact/hooks';
import { Icon } from '../icons';
import { asApiError } from '../load';
import { forget, linkOf, loadSaved, NAME_PATTERN, save, saved, type SavedView } from '../saved';
import { path } from '../url';
import { Popover } from './popover';
import { toast } from './toast';

interface Props {
  /** What is asked now, by the names that the API has for it. */
  question: () => Record<string, string>;
}

export function ViewsMenu({ question }: Props) {
  return (
    <Popover class="quiet small" name="Views" label={<><Icon name="star" /> <span class="wide-only">Views</span></>} title="Saved views of this page">
      {(close) => <Panel question={question} close={close} />}
    </Popover>
  );
}

function Panel({ question, close }: Props & { close: () => void }) {
  const [name, setName] = useState('');
  const [problem, setProblem] = useState('');
  const attempt = async (work: Promise<void>, done?: string) => {
    try {
      await work;
      setProblem('');
      if (!done) return;
      toast(done);
      close();
    } catch (error) {
      const { message, hint } = asApiError(error);
      setProblem(hint ? `${message}: ${hint}` : message);
    }
  };
  useEffect(() => void attempt(loadSaved()), []);
  const ofPage = (saved.value ?? []).filter((one) => linkOf(one).split('?')[0] === path.value);
  const replaces = ofPage.some((one) => one.name === name.trim());
  return (
    <div class="views-panel">
      <ul>
        {ofPage.map((one) => <Entry key={one.name} view={one} close={close} onForget={() => void attempt(forget(one.name))} />)}
      </ul>
      {saved.value && !ofPage.length && <p class="muted">Nothing is saved of this page yet.</p>}
      <form class="row" onSubmit={(event) => {
        event.preventDefault();
        void attempt(save(name.trim(), question()), `Saved as ${name.trim()}`);
      }}>
        <input type="text" required pattern={NAME_PATTERN} title="Letters, digits, blanks, - _ and ." value={name} spellcheck={false} autofocus
          aria-label="Name of this view" placeholder="Save this view as …" onInput={(event) => setName(event.currentTarget.value)} />
        <button type="submit" class="button primary">{replaces ? 'Replace' : 'Save'}</button>
      </form>
      {problem && <p class="problem" role="alert">{problem}</p>}
    </div>
  );
}

function Entry({ view, close, onForget }: { view: SavedView; close: () => void; onForget: () => void }) {
  return (
    <li>
      <a href={linkOf(view)} onClick={close}>
        <b>{view.name}</b> <span class="muted mono">{view.query ?? view.q}</span>
      </a>
      <button type="button" class="mini" aria-label={`Forget ${view.name}`} title="Forget it" onClick={onForget}><Icon name="close" /></button>
    </li>
  );
}
