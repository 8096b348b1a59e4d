import './styles/tokens.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import { render } from 'preact';
import { loadSession } from './api';
import { App } from './app';
import { watchAlerts } from './firing';
import { listenToKeys } from './keys';
import { startRefreshing } from './load';
import { listenForPalette } from './ui/palette-state';

void loadSession();
listenToKeys();
listenForPalette();
startRefreshing();
watchAlerts();
render(<App />, document.getElementById('app')!);
