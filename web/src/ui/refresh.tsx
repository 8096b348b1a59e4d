/** Refresh now, and how often by itself. */

import { Icon } from '../icons';
import { refreshText } from '../load';
import { isMoving, now, set } from '../url';

const CHOICES = ['off', '5s', '10s', '30s', '60s'];

export function RefreshControl() {
  const chosen = refreshText();
  const choices = CHOICES.includes(chosen) ? CHOICES : [...CHOICES, chosen];
  return (
    <div class="refresh" role="group" aria-label="Refresh">
      <button type="button" class="button" title="Refresh (r)" aria-label="Refresh now" onClick={() => (now.value = Date.now())}>
        <Icon name="refresh" />
      </button>
      <select aria-label="Refresh every" value={chosen} disabled={!isMoving.value}
        title={isMoving.value ? 'Refresh every' : 'The range is fixed: nothing new appears in it'}
        onChange={(event) => set({ refresh: event.currentTarget.value })}>
        {choices.map((choice) => <option key={choice}>{choice}</option>)}
      </select>
    </div>
  );
}
