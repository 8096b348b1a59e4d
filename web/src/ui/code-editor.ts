/** The editor of searches and queries: CodeMirror with our own colours, completion and marks. Loaded when needed. */

import {
  acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, type Completion, completionKeymap,
  completionStatus, moveCompletionSelection, selectedCompletionIndex,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { bracketMatching } from '@codemirror/language';
import { type Diagnostic, linter } from '@codemirror/lint';
import { EditorState, Prec, RangeSetBuilder } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, keymap, placeholder, tooltips, ViewPlugin, type ViewUpdate } from '@codemirror/view';
import { type ApiError, isLocked } from '../api';

/** A stretch of text and the class that colours it. */
export type Token = [from: number, to: number, kind: 'name' | 'word' | 'text' | 'number' | 'sign'];

export interface Suggestion {
  /** What is written. */
  label: string;
  /** What stands behind it: a type, a count. */
  detail?: string;
  /** Help, in a sentence. */
  info?: string;
  /** What is inserted instead of the label. */
  apply?: string;
  boost?: number;
}

export interface Suggestions {
  from: number;
  options: Suggestion[];
}

export interface Language {
  tokens: (text: string) => Token[];
  suggest: (text: string, at: number, asked: boolean) => Promise<Suggestions | null>;
  /** The mistake in a text, if there is one. */
  check: (text: string) => Promise<ApiError | null>;
}

export interface Options {
  parent: HTMLElement;
  value: string;
  label: string;
  hint: string;
  language: Language;
  onChange: (text: string) => void;
  onSubmit: (text: string) => void;
}

/** Pause of typing after which a text is checked. */
const CHECK_AFTER_MS = 400;

export interface Editor {
  focus: () => void;
  setValue: (text: string) => void;
  destroy: () => void;
}

export function createEditor(options: Options): Editor {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
  const submit = (view: EditorView) => {
    closeCompletion(view);
    options.onSubmit(view.state.doc.toString());
    return true;
  };
  const leave = (view: EditorView) => {
    if (completionStatus(view.state)) return closeCompletion(view);
    view.contentDOM.blur();
    return true;
  };
  const view = new EditorView({
    parent: options.parent,
    state: EditorState.create({
      doc: options.value,
      extensions: [
        EditorView.cspNonce.of(nonce),
        Prec.highest(keymap.of([{ key: 'Tab', run: takeSuggestion }])),
        keymap.of(completionKeymap),
        keymap.of([{ key: 'Enter', run: submit }, { key: 'Mod-Enter', run: submit }, { key: 'Escape', run: leave }]),
        keymap.of([...closeBracketsKeymap, ...historyKeymap, ...defaultKeymap]),
        history(),
        closeBrackets(),
        bracketMatching(),
        // Enter runs what is written; a suggestion is taken by Tab, or by Enter once an arrow chose one.
        autocompletion({ override: [complete(options.language)], selectOnOpen: false, icons: false, activateOnTyping: true, interactionDelay: 0 }),
        linter((target) => diagnose(target, options.language), { delay: CHECK_AFTER_MS }),
        tooltips({ position: 'absolute' }),
        placeholder(options.hint),
        colours(options.language),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': options.label, spellcheck: 'false', autocapitalize: 'off' }),
        EditorView.updateListener.of((update) => update.docChanged && options.onChange(update.state.doc.toString())),
      ],
    }),
  });
  return {
    focus: () => {
      view.focus();
      view.dispatch({ selection: { anchor: view.state.doc.length } });
    },
    setValue: (text) => {
      if (text !== view.state.doc.toString()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    destroy: () => view.destroy(),
  };
}

/** Takes the chosen suggestion, or the first one. */
function takeSuggestion(view: EditorView): boolean {
  if (completionStatus(view.state) !== 'active') return false;
  if (selectedCompletionIndex(view.state) === null) moveCompletionSelection(true)(view);
  return acceptCompletion(view);
}

function complete(language: Language) {
  return async (context: { state: EditorState; pos: number; explicit: boolean }) => {
    const found = await language.suggest(context.state.doc.toString(), context.pos, context.explicit);
    if (!found) return null;
    return { from: found.from, options: found.options as Completion[] };
  };
}

async function diagnose(view: EditorView, language: Language): Promise<Diagnostic[]> {
  const text = view.state.doc.toString();
  if (!text.trim() || isLocked.peek()) return [];
  const error = await language.check(text);
  if (!error?.place) return [];
  const line = view.state.doc.line(Math.min(error.place.line, view.state.doc.lines));
  // The column counts characters, the editor counts UTF-16 units.
  const before = Array.from(line.text).slice(0, error.place.column - 1).join('').length;
  const from = Math.min(line.from + before, line.to);
  const to = Math.min(from + 1, line.to);
  const shown = { from: from === to ? Math.max(line.from, from - 1) : from, to };
  return [{ ...shown, severity: 'error', message: error.hint ? `${error.message} – ${error.hint}` : error.message }];
}

function colours(language: Language) {
  const marks = (text: string): DecorationSet => {
    const builder = new RangeSetBuilder<Decoration>();
    for (const [from, to, kind] of language.tokens(text)) builder.add(from, to, Decoration.mark({ class: `tok-${kind}` }));
    return builder.finish();
  };
  return ViewPlugin.fromClass(
    class {
      decorations: DecorationSet;

      constructor(view: EditorView) {
        this.decorations = marks(view.state.doc.toString());
      }

      update(update: ViewUpdate) {
        if (update.docChanged) this.decorations = marks(update.state.doc.toString());
      }
    },
    { decorations: (plugin) => plugin.decorations },
  );
}
