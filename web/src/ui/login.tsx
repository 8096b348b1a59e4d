/** Asks for what the server wants to see: an API key, or a name and password where it takes those. */

import { useState } from 'preact/hooks';
import { login, loginProblem, session } from '../api';

export function Login() {
  const [key, setKey] = useState('');
  const [name, setName] = useState('');
  const [trying, setTrying] = useState(false);
  const takesPasswords = session.value?.methods.includes('password') ?? false;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!key) return;
    setTrying(true);
    await login(name ? { username: name, password: key } : { key: key.trim() });
    setTrying(false);
  };
  const problem = loginProblem.value;
  return (
    <form class="login panel" onSubmit={submit}>
      <h1>Who is there?</h1>
      <p>This server asks for an API key with the scope <code>read</code>. It is exchanged for a session of twelve hours and not kept in this page.</p>
      {takesPasswords && (
        <label>
          Name <span class="muted">(empty for an API key)</span>
          <input type="text" autocomplete="username" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
      )}
      <label>
        {name ? 'Password' : 'API key'}
        <input type="password" autocomplete="current-password" spellcheck={false} value={key} autofocus
          aria-describedby={problem ? 'login-problem' : undefined} onInput={(event) => setKey(event.currentTarget.value)} />
      </label>
      {problem && <p class="problem" id="login-problem" role="alert">{problem}</p>}
      <button type="submit" class="button primary" disabled={!key || trying}>Enter</button>
      <p class="muted">No key yet? On the server: <code>watchfire keys add --file keys.txt --scopes read NAME</code></p>
    </form>
  );
}
