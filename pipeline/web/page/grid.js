// A table of any length of which only the rows in sight exist. Arrow keys move from row to row, Enter opens one; a screen
// reader is told how many rows there are and which one this is.
//
//   <burn-grid .data=${{ columns: [{id, title, cell, number, sorts, falls, wide, hint}], rows, sort: "-burn" }} label="SLOs">
//
// Sends `sort` (detail: column), `open` (detail: row), and `need` when rows in sight are not loaded (`isPending`). A row with
// `heading` is a heading over the rows behind it; a column that `falls` has its greatest value first; `wide` is a class.

import { html, nothing, render } from "./vendor/lit-html/lit-html.js";
import { repeat } from "./vendor/lit-html/directives/repeat.js";

const SPARE = 6; // rows drawn above and below what is in sight, so that a fast wheel finds something

class Grid extends HTMLElement {
  rows = [];
  columns = [];
  sort = "";
  rowKey = (row) => row.key;
  #at = 0;
  #queued = false;
  #watch = new ResizeObserver(() => this.draw());

  connectedCallback() {
    this.#watch.observe(this);
    this.draw();
  }

  disconnectedCallback() {
    this.#watch.disconnect();
  }

  /** Take what there is to show; drawn once however much is set. */
  set data(data) {
    const before = this.rows[this.#at];
    Object.assign(this, data);
    const kept = before ? this.rows.findIndex((row) => this.rowKey(row) === this.rowKey(before)) : -1;
    this.#at = kept >= 0 ? kept : Math.min(this.#at, Math.max(0, this.rows.length - 1));
    this.draw();
  }

  get #rowHeight() {
    return parseFloat(getComputedStyle(this).getPropertyValue("--row")) || 32;
  }

  /** How many columns there is room for; styles decide. */
  get #shown() {
    const titles = [...this.querySelectorAll("thead th")];
    return titles.filter((title) => title.offsetWidth).length || this.columns.length;
  }

  get #scroller() {
    return this.querySelector(".scroll");
  }

  #range() {
    const scroller = this.#scroller;
    const [top, height] = scroller ? [scroller.scrollTop, scroller.clientHeight] : [0, this.clientHeight];
    const first = Math.max(0, Math.floor(top / this.#rowHeight) - SPARE);
    const shown = Math.ceil((height || 600) / this.#rowHeight) + 2 * SPARE;
    return [first, Math.min(this.rows.length, first + shown)];
  }

  draw() {
    if (this.#queued || !this.isConnected) return;
    if (!this.#scroller) return this.#first();
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#render();
    });
  }

  /** Do not let the first rows wait for another frame. */
  #first() {
    this.#render();
    this.draw();
    if (this.rows.length) performance.mark("rows-shown");
  }

  #render() {
    const [first, end] = this.#range();
    const hadFocus = this.contains(document.activeElement) && document.activeElement.matches("tr");
    const focus = hadFocus ? Math.min(Math.max(this.#at, first), Math.max(first, end - 1)) : this.#at;
    this.#at = focus;
    const visible = this.rows.slice(first, end).map((row, n) => [row, first + n]);
    render(this.#table(visible, first, end), this);
    if (visible.some(([row]) => row.isPending)) this.#send("need");
    if (hadFocus) this.querySelector(`tr[data-index="${focus}"]`)?.focus({ preventScroll: true });
  }

  #table(visible, first, end) {
    const height = this.#rowHeight;
    return html`
      <div class="scroll" @scroll=${() => this.draw()} @keydown=${this.#key}>
        <table role="grid" aria-label=${this.getAttribute("label")} aria-rowcount=${this.rows.length + 1}>
          <colgroup>
            ${this.columns.map((column) => html`<col class="col-${column.id} ${column.wide ?? ""}" />`)}
          </colgroup>
          <thead role="rowgroup">
            <tr role="row" aria-rowindex="1">
              ${this.columns.map((column) => this.#heading(column))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            <tr class="space" aria-hidden="true">
              <td .style=${`height:${first * height}px`}></td>
            </tr>
            ${repeat(
              visible,
              ([row]) => this.rowKey(row),
              ([row, index]) => this.#row(row, index),
            )}
            <tr class="space" aria-hidden="true">
              <td .style=${`height:${(this.rows.length - end) * height}px`}></td>
            </tr>
          </tbody>
        </table>
      </div>
    `;
  }

  #heading(column) {
    const sorted = this.sort.replace("-", "") === column.id;
    const direction = !sorted
      ? "none"
      : this.sort.startsWith("-") === Boolean(column.falls)
        ? "ascending"
        : "descending";
    const classes = `${column.number ? "number" : ""} ${column.wide ?? ""}`;
    const inside = column.sorts
      ? html`<button class="sorter" @click=${() => this.#send("sort", column)}>
          ${column.title}<span class="arrow" aria-hidden="true"
            >${{ descending: "↓", ascending: "↑", none: "" }[direction]}</span
          >
        </button>`
      : column.title;
    return html`<th
      role="columnheader"
      scope="col"
      class=${classes}
      title=${column.hint ?? nothing}
      aria-sort=${column.sorts ? direction : nothing}
    >
      ${inside}
    </th>`;
  }

  #row(row, index) {
    const cells = row.heading
      ? html`<td role="gridcell" class="grouped" colspan=${this.#shown}>${row.heading}</td>`
      : this.columns.map(
          (column) =>
            html`<td role="gridcell" class="${column.number ? "number" : ""} ${column.wide ?? ""}">
              ${column.cell(row)}
            </td>`,
        );
    return html`<tr
      role="row"
      class=${row.className ?? ""}
      data-index=${index}
      aria-rowindex=${index + 2}
      tabindex=${index === this.#at ? 0 : -1}
      @focus=${() => this.#reached(index)}
      @click=${(event) => event.target.closest("a, button") || getSelection().toString() || this.#send("open", row)}
    >
      ${cells}
    </tr>`;
  }

  #reached(index) {
    if (this.#at === index) return;
    this.#at = index;
    this.draw();
  }

  #send(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #key = (event) => {
    if (!event.target.matches("tr") || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.#scroller.clientHeight / this.#rowHeight) - 2);
    const last = this.rows.length - 1;
    const moves = {
      ArrowDown: this.#at + 1,
      ArrowUp: this.#at - 1,
      j: this.#at + 1,
      k: this.#at - 1,
      PageDown: this.#at + page,
      PageUp: this.#at - page,
      Home: 0,
      End: last,
    };
    if (event.key === "Enter") this.#send("open", this.rows[this.#at]);
    else if (event.key in moves) this.#move(Math.min(Math.max(moves[event.key], 0), last));
    else return;
    event.preventDefault();
  };

  /** Put the focus on a row, and bring it into sight under the heading. */
  #move(index) {
    const scroller = this.#scroller;
    const height = this.#rowHeight;
    const room = scroller.clientHeight - scroller.querySelector("thead").offsetHeight;
    if (index * height < scroller.scrollTop) scroller.scrollTop = index * height;
    else if ((index + 1) * height > scroller.scrollTop + room) scroller.scrollTop = (index + 1) * height - room;
    this.#at = index;
    this.#render();
    this.querySelector(`tr[data-index="${index}"]`)?.focus({ preventScroll: true });
  }
}

customElements.define("burn-grid", Grid);
