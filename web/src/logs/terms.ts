/** Terms of the search language, as buttons write them. */

/** `fields.a.b:"value"`, so that it means exactly this value. */
export function term(field: string, value: string): string {
  const name = field.replace(/([\s:()"*\\!=<>])/g, '\\$1');
  const plain = /^[A-Za-z0-9_]+$/.test(value) && !/^(AND|OR|NOT|TO)$/.test(value);
  return `${name}:${plain ? value : `"${value.replace(/([\\"])/g, '\\$1')}"`}`;
}

/** A search with one more term; a search that has it already stays as it is. */
export function withTerm(query: string, added: string): string {
  const opposite = added.startsWith('-') ? added.slice(1) : `-${added}`;
  let rest = query.trim();
  // What said the opposite makes way.
  if (endsWithTerm(rest, opposite)) rest = rest.slice(0, -opposite.length).trim();
  if (endsWithTerm(rest, added) || rest === added) return rest;
  if (!rest) return added;
  // OR binds weaker than what is added.
  return /\bOR\b/.test(rest) && !/^\(.*\)$/s.test(rest) ? `(${rest}) ${added}` : `${rest} ${added}`;
}

function endsWithTerm(query: string, wanted: string): boolean {
  return query === wanted || query.endsWith(` ${wanted}`);
}
