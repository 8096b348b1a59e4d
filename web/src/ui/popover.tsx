/** A button with a panel under it, that Escape and a click elsewhere close. */

import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface Props {
  /** What the button shows. */
  label: ComponentChildren;
  /** Its name, if what it shows is no text. */
  name?: string;
  title?: string;
  class?: string;
  children: (close: () => void) => ComponentChildren;
}

export function Popover({ label, name, title, class: kind = '', children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => root.current?.contains(event.target as Node) || setOpen(false);
    document.addEventListener('pointerdown', outside);
    return () => document.removeEventListener('pointerdown', outside);
  }, [open]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && open) {
      event.stopPropagation();
      close();
    }
  };
  return (
    <div class="popover" ref={root} onKeyDown={onKeyDown}>
      <button type="button" ref={button} class={`button ${kind}`} aria-expanded={open} aria-label={name} title={title}
        onClick={() => setOpen(!open)}>
        {label}
      </button>
      {open && <div class="popover-panel panel">{children(close)}</div>}
    </div>
  );
}
