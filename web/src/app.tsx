/** The shell: the bar, the page at hand, and what may lie over it. */

import type { ComponentType } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError, needsLogin, reachable } from './api';
import { firingCount } from './firing';
import { focusSearch } from './focus';
import { fromGraphLink } from './graph-link';
import { useKeys } from './keys';
import { defaultRefresh } from './load';
import { PAGES } from './pages';
import { nextTheme } from './theme';
import { TIMES } from './time';
import { ErrorNote } from './ui/error-note';
import { HelpDialog, helpIsOpen } from './ui/help';
import { PaletteHost, paletteIsOpen } from './ui/palette-state';
import { Login } from './ui/login';
import { TopBar } from './ui/top-bar';
import { Toast } from './ui/toast';
import { follow, go, here, href, now, params, path, range, rangeProblem, zoom } from './url';

export function App() {
  const page = PAGES.find((one) => one.path === path.value);
  const graph = path.value === '/graph' ? fromGraphLink(params.value) : null;
  useEffect(() => {
    if (graph) go(graph, true);
  }, [graph]);
  const firing = firingCount();
  useEffect(() => {
    document.title = `${firing ? `(${firing}) ` : ''}${page?.title ?? 'Watchfire'} · Watchfire`;
  }, [firing, page]);
  useKeys([
    ...PAGES.map((one) => ({ keys: `g ${one.key}`, does: `go to ${one.title}`, run: () => go(href(one.path)) })),
    { keys: '/', does: 'write a search or query', run: () => focusSearch.peek()?.() },
    { keys: '[', does: 'the time before', run: () => shift(-1) },
    { keys: ']', does: 'the time after', run: () => shift(1) },
    { keys: 'z', does: 'zoom out: twice the time', run: () => shift(0) },
    { keys: 'r', does: 'refresh', run: () => (now.value = Date.now()) },
    { keys: 't', does: 'change the theme', run: nextTheme },
    { keys: 'p', does: 'go to anything by its name (also Ctrl+K)', run: () => (paletteIsOpen.value = true) },
    { keys: '?', does: 'show this list', run: () => (helpIsOpen.value = true) },
  ]);
  return (
    <div class="shell" onClick={follow}>
      <a class="skip" href="#main">Skip to content</a>
      <TopBar current={page} />
      {!reachable.value && <p class="banner" role="status">The server does not answer. What you see may be old; it is asked again.</p>}
      <main id="main" tabIndex={-1}>
        {needsLogin.value ? <Login /> : !page ? <Nowhere /> : rangeProblem.value ? <NoRange title={page.title} />
          : <Outlet key={page.path} load={page.load} refresh={page.refresh} title={page.title} />}
      </main>
      <HelpDialog />
      <PaletteHost />
      <Toast />
    </div>
  );
}

/** Moves the range by half its length, or widens it by as much at both ends. It never ends after now. */
function shift(direction: -1 | 0 | 1): void {
  const { start, end } = range.peek();
  const half = (end - start) / 2;
  const moved = direction === 0 ? { start: start - half, end: end + half } : { start: start + direction * half, end: end + direction * half };
  const late = Math.max(0, moved.end - Date.now());
  zoom(moved.start - late, moved.end - late);
}

function Outlet({ load, refresh, title }: { load: () => Promise<ComponentType> | ComponentType; refresh: string; title: string }) {
  const [Shown, setShown] = useState<{ page: ComponentType } | null>(null);
  const [failed, setFailed] = useState(false);
  const first = useRef(true);
  useEffect(() => {
    defaultRefresh.value = refresh;
    if (!first.current) document.getElementById('main')?.focus({ preventScroll: true });
    first.current = false;
    Promise.resolve(load()).then((page) => setShown({ page }), () => setFailed(true));
  }, []);
  if (failed) {
    return (
      <section class="note">
        <h1>{title}</h1>
        <p>This part of the page could not be loaded. The server may have been updated since the page was opened.</p>
        <button type="button" class="button" onClick={() => window.location.reload()}>Load the page again</button>
      </section>
    );
  }
  return Shown ? <Shown.page /> : <h1 class="sr-only">{title}</h1>;
}

/** Another range than the link's would be shown under its name. */
function NoRange({ title }: { title: string }) {
  return (
    <section class="note">
      <h1>{title}</h1>
      <ErrorNote error={new ApiError(0, 'range', rangeProblem.value, undefined, `times are written as ${TIMES}`)} />
      <a class="button" href={here({ from: null, to: null })}>Show the last hour</a>
    </section>
  );
}

function Nowhere() {
  return (
    <section class="note">
      <h1>There is no page here</h1>
      <p>The link may be old or mistyped. <a href="/">Go to the overview</a></p>
    </section>
  );
}
