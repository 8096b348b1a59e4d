/** The same on all pages: name, pages, time range, refresh, theme, help. */

import { logout, needsLogin, session } from '../api';
import { firingCount } from '../firing';
import { Flame, Icon } from '../icons';
import { type Page, PAGES } from '../pages';
import { nextTheme, theme } from '../theme';
import { href, path } from '../url';
import { helpIsOpen } from './help';
import { paletteIsOpen } from './palette-state';
import { RefreshControl } from './refresh';
import { TimePicker } from './time-picker';

const THEMES = { '': 'as the system', light: 'light', dark: 'dark' } as const;

export function TopBar({ current }: { current: Page | undefined }) {
  const firing = firingCount();
  return (
    <header class="top-bar">
      <a class="brand" href={href('/')} aria-label="Watchfire, overview"><Flame /><span>Watchfire</span></a>
      <nav aria-label="Pages">
        {PAGES.map((page) => (
          <a key={page.path} href={page.path === path.value ? path.value + window.location.search : href(page.path)}
            aria-current={page === current ? 'page' : undefined}>
            <Icon name={page.icon} />
            <span>{page.title}</span>
            {page.path === '/alerts' && firing > 0 && <span class="count" aria-label={`${firing} firing`}>{firing}</span>}
          </a>
        ))}
      </nav>
      <div class="controls">
        {!needsLogin.value && (
          <button type="button" class="button quiet" title="Go to anything by its name (p, Ctrl+K)" aria-label="Go to" onClick={() => (paletteIsOpen.value = true)}>
            <Icon name="search" />
          </button>
        )}
        {!needsLogin.value && <TimePicker />}
        {!needsLogin.value && <RefreshControl />}
        <button type="button" class="button quiet" title={`Theme: ${THEMES[theme.value]} (t)`} onClick={nextTheme}
          aria-label={`Theme: ${THEMES[theme.value]}; change`}>
          <Icon name={theme.value === '' ? 'system' : theme.value === 'light' ? 'sun' : 'moon'} />
        </button>
        <button type="button" class="button quiet wide-only" title="Keys (?)" aria-label="Keys" onClick={() => (helpIsOpen.value = true)}>
          <Icon name="help" />
        </button>
        {session.value?.required && !needsLogin.value && (
          <button type="button" class="button quiet" title={`Log out ${session.value.name ?? ''}`} aria-label="Log out" onClick={() => void logout()}><Icon name="close" /></button>
        )}
      </div>
    </header>
  );
}
