// Moving a focus with the keyboard over cells in rows, as ARIA asks of a grid: one stop for Tab, arrows
// inside. Pure arithmetic; who calls it owns the cells.

export interface Place {
  row: number;
  column: number;
}

// Where a key leads from a place, or null when the key is not one of moving.
export function move(event: KeyboardEvent, from: Place, rows: number, columns: number): Place | null {
  if (event.altKey || event.metaKey) return null;
  const to = { ...from };
  switch (event.key) {
    case "ArrowLeft": to.column -= 1; break;
    case "ArrowRight": to.column += 1; break;
    case "ArrowUp": to.row -= 1; break;
    case "ArrowDown": to.row += 1; break;
    case "PageUp": to.row -= 10; break;
    case "PageDown": to.row += 10; break;
    case "Home":
      to.column = 0;
      if (event.ctrlKey) to.row = 0;
      break;
    case "End":
      to.column = columns - 1;
      if (event.ctrlKey) to.row = rows - 1;
      break;
    default: return null;
  }
  to.row = Math.min(Math.max(to.row, 0), rows - 1);
  to.column = Math.min(Math.max(to.column, 0), columns - 1);
  return to;
}

// Gives the one Tab stop of a part to `cell`.
export function giveStop(cells: Iterable<HTMLElement>, cell: HTMLElement): void {
  for (const other of cells) if (other.tabIndex === 0 && other !== cell) other.tabIndex = -1;
  cell.tabIndex = 0;
}
