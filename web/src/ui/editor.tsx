/** A field for a search or a query: a plain one at first, the editor once its code is there. */

import '../styles/editor.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { focusSearch } from '../focus';
import type { Editor, Language } from './code-editor';

interface Props {
  value: string;
  label: string;
  hint: string;
  language: Language;
  onSubmit: (text: string) => void;
  /** Told at each key, for who must know what is written and not run yet. */
  onChange?: (text: string) => void;
}

export function EditorField({ value, label, hint, language, onSubmit, onChange }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plain = useRef<HTMLInputElement>(null);
  const editor = useRef<Editor | null>(null);
  const [loaded, setLoaded] = useState(false);
  const latest = useRef({ onSubmit, onChange });
  latest.current = { onSubmit, onChange };
  useEffect(() => {
    let gone = false;
    focusSearch.value = () => (editor.current ? editor.current.focus() : plain.current?.focus());
    // Without the editor the plain field goes on working.
    import('./code-editor').then(({ createEditor }) => {
      if (gone || !box.current) return;
      const field = plain.current;
      const hadFocus = field !== null && document.activeElement === field;
      editor.current = createEditor({
        parent: box.current, value: field?.value ?? value, label, hint, language,
        onChange: (text) => latest.current.onChange?.(text),
        onSubmit: (text) => latest.current.onSubmit(text),
      });
      setLoaded(true);
      if (hadFocus) editor.current.focus();
    }, () => undefined);
    return () => {
      gone = true;
      focusSearch.value = null;
      editor.current?.destroy();
      editor.current = null;
    };
  }, []);
  useEffect(() => {
    editor.current?.setValue(value);
    if (plain.current) plain.current.value = value;
  }, [value]);
  const onKeyDown = (event: KeyboardEvent) => {
    const field = event.currentTarget as HTMLInputElement;
    if (event.key === 'Enter') latest.current.onSubmit(field.value);
    if (event.key === 'Escape') field.blur();
  };
  return (
    <div class="editor" ref={box}>
      {!loaded && (
        <input ref={plain} type="text" aria-label={label} placeholder={hint} spellcheck={false} defaultValue={value} onKeyDown={onKeyDown}
          onInput={(event) => latest.current.onChange?.(event.currentTarget.value)} />
      )}
    </div>
  );
}
