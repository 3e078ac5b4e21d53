/** The part of the anywidget front-end module interface (AFM) that this package relies on. */

export type Listener = (...args: unknown[]) => void;

export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  on(name: string, listener: Listener): void;
  off(name: string, listener?: Listener): void;
  save_changes(): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  /** True where there is no kernel to answer: exported pages. */
  readonly offline?: boolean;
  /** A bundle that the view needs only now and then, where the page holds it. */
  part?(name: string): Promise<unknown>;
}

/** What a part hands out that shows something: it draws into `el` until the signal says so. */
export interface PartModule {
  render(el: HTMLElement, board: unknown, signal: AbortSignal): void;
}

/** What a part hands out that answers a view's messages where there is no kernel. */
export interface KernelModule {
  serve(model: Model & { emit(name: string, ...args: unknown[]): void }): void;
}

export interface InitializeProps {
  readonly model: Model;
  /** Aborted when the model is closed; missing before anywidget 0.11. */
  readonly signal?: AbortSignal;
}

export interface RenderProps extends InitializeProps {
  readonly el: HTMLElement;
}

export type Cleanup = () => void;

export interface WidgetModule {
  initialize?(props: InitializeProps): unknown;
  render(props: RenderProps): unknown;
}
